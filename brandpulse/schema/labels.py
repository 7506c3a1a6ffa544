"""Labels of a post besides its sentiment: in scored posts, in facets, and of the model's heads."""

EMOTIONS = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)
"""The labels of GoEmotions (Demszky et al., 2020), in its order; a post may have several."""

MOODS = ("anger", "joy", "optimism", "sadness")
"""The labels of TweetEval's emotion task; a post has one."""
