"""falkit: the whole of the fal.ai platform for an AI assistant, behind one front door."""
