"""The stages of a run, one module each; ``pipeline.run`` puts them in order."""
