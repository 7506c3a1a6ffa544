"""What each figure of a report is called and says, for people who did not choose it."""

METRICS = {
    "macro_recall": ("macro recall", "How many rows of a label are found, each label counting alike."),
    "accuracy": ("accuracy", "Share of rows with the right label; with many labels, of rows right in all of them."),
    "macro_f1": (
        "macro F1",
        "Balance of finding a label and of being right when saying it, each label counting alike.",
    ),
    "micro_f1": ("micro F1", "The same over all answers together, so frequent labels count more."),
    "f1": ("F1", "The same for yes alone."),
    "average_precision": ("average precision", "How well yes is ranked above no, whatever the threshold."),
    "macro_average_precision": ("macro average precision", "How well each label is ranked, each label counting alike."),
    "micro_average_precision": ("micro average precision", "How well all answers are ranked together."),
    "ece": ("calibration error", "How far the stated certainty lies from the share that is right, 15 bins."),
    "ece_before_temperature": ("calibration error before", "The same without the weights' temperature."),
    "net_bias": ("net bias", "Net sentiment as read less as labelled: what no window averages away."),
    "net_rmse_200": ("net error, 200 posts", "Root mean square error of net sentiment in windows of 200 posts."),
}

SWAP_CHECKS = {
    "swap_rate": (
        "an absent target is neutral or irrelevant",
        "Each row asked about another target of the file, one its text does not name. A target that is not named is "
        "irrelevant by rule here, so this passes by design and shows nothing that was learnt.",
    ),
    "irrelevant_rate": (
        "its own target is irrelevant",
        "Share of rows whose own target is called irrelevant when all four labels are open.",
    ),
    "named_rate": ("its own target stands in the text", "The others are irrelevant by rule."),
    "second_target_accuracy": (
        "the second target is right",
        "Texts with several targets and differing gold labels: accuracy on the targets that differ from the first one. "
        "A model that reads the post only is wrong on about all of them.",
    ),
    "same_prediction_share": (
        "and gets the first one's answer",
        "The same targets: share with the answer that the first target got, though their gold labels differ.",
    ),
    "in_text_swap_agreement": (
        "another name, the same answer",
        "The mention replaced in the text by another name of the file: share of unchanged labels. Without the target's "
        "words a marker stands where the name stood, so this is 1 by design; with them it is learnt.",
    ),
}
