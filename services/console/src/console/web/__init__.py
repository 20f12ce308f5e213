"""How the console answers a browser: guards, files, forms, refusals."""
