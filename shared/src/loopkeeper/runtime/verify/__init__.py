"""The reconciler: what must hold over all databases and the log, checked while the services run or are stopped."""
