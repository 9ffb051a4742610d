"""One run from a model to a device: settings, stages, gates, report, command line."""
