"""Takes private things out of texts before they are kept, shown or sent."""
