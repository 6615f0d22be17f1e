"""The steps of operations: each observes the world, decides by `model`, and acts once. They know ports, not clients."""
