"""The image's definition: built without the network, holding what serving needs and no more."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_bento_is_built_and_starts_without_training(tmp_path: Path) -> None:
    """Its sources load a worker by themselves; nothing of training or tracking is in it."""
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "OTEL_SDK_DISABLED": "true"}
    environment = {**os.environ, **quiet, "BENTOML_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "bentoml", "build", "--version", "test", "-o", "tag"]
    built = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert built.returncode == 0, built.stderr
    bento = tmp_path / "bentos" / "forewarn" / "test"
    source = bento / "src"
    assert {"features", "models", "serving"} <= {part.name for part in source.iterdir()}
    assert not (source / "training").exists()
    assert not (source / "tests").exists()
    assert (source / "models" / "champion" / "bundle.json").is_file()
    wanted = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml" in wanted
    assert "mlflow" not in wanted
    loaded = "import serving.worker, sys; sys.exit('training' in sys.modules)"
    alone = [sys.executable, "-c", loaded]
    environment["PYTHONPATH"] = str(source)
    assert subprocess.run(alone, env=environment, cwd=source, check=False).returncode == 0
