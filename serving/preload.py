"""What every worker needs, imported once: workers are forked from the process that imports this.

What they only read they then share; each would otherwise hold tens of megabytes by itself, and a
worker that takes an ended one's place need not import it anew. Nothing is opened or started here:
no file, no thread of Python, no model.
"""

import gc
from importlib import import_module

from serving.imports import FITTING, without

with without(*FITTING):
    for name in ("serving.worker", "serving.http.tracing", "serving.http.connection", "uvloop"):
        import_module(name)

gc.collect()
# The collector would write into every object that it looks at, and so unshare its page.
gc.freeze()
