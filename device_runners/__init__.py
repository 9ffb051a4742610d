"""An int8 model in, something that runs on a device out."""
