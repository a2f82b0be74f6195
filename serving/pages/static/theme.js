// Before anything is drawn: the reader's choice, else what the system prefers.
document.documentElement.dataset.theme =
  localStorage.getItem("forewarn.theme") ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
