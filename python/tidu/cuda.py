"""Device cuda."""


def is_available():
    """Whether tensors can be put on device cuda; why_not() says why they cannot."""
    return False


def why_not():
    """The reason why device cuda is not available, or None."""
    return "this build of tidu has no CUDA backend"


__all__ = ["is_available", "why_not"]
