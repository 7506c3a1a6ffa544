"""Name and explanation of each metric of a report."""

METRICS = {
    "macro_recall": ("macro recall", "Mean share of the rows of a label that are found, over all labels."),
    "accuracy": ("accuracy", "Share of rows with the correct label; for many labels, with all labels correct."),
    "macro_f1": (
        "macro F1",
        "Harmonic mean of precision and recall, averaged over labels.",
    ),
    "micro_f1": ("micro F1", "F1 over all answers together, so that frequent labels count more."),
    "f1": ("F1", "F1 of the label yes."),
    "average_precision": ("average precision", "How well yes is ranked above no, independent of the threshold."),
    "macro_average_precision": ("macro average precision", "How well each label is ranked, averaged over labels."),
    "micro_average_precision": ("micro average precision", "How well all answers are ranked together."),
    "ece": ("calibration error", "Mean difference between confidence and accuracy, 15 bins."),
    "ece_before_temperature": ("calibration error before", "Calibration error without the weights' temperature."),
    "net_bias": ("net bias", "Predicted minus gold net sentiment; does not shrink in larger windows."),
    "net_rmse_200": ("net error, 200 posts", "Root mean square error of net sentiment in windows of 200 posts."),
    "irrelevant_recall_at_precision_80": (
        "irrelevant found at precision 0.8",
        "Share of irrelevant rows found by the threshold on P(irrelevant) at which 80 % of the found ones are correct.",
    ),
    "irrelevant_called_negative": (
        "irrelevant called negative",
        "Share of irrelevant rows predicted as negative. Each counts as a complaint about the brand and can page.",
    ),
}

SWAP_CHECKS = {
    "swap_rate": (
        "an absent target is neutral or irrelevant",
        "Each row with another target of the file that its text does not name. Such a target is irrelevant by "
        "rule, so this check passes by design and does not show what was learnt.",
    ),
    "irrelevant_rate": (
        "its own target is irrelevant",
        "Share of rows whose own target is predicted as irrelevant.",
    ),
    "named_rate": ("the text names its target", "The other rows are read as posts about their target."),
    "second_target_accuracy": (
        "the second target is correct",
        "Texts with several targets and different gold labels: accuracy on the targets that differ from the first one. "
        "A model that ignores the target is wrong on nearly all of them.",
    ),
    "same_prediction_share": (
        "the second target has the first one's label",
        "The same targets: share with the predicted label of the first target, although their gold labels differ.",
    ),
    "in_text_swap_agreement": (
        "another name, the same label",
        "Another name of the file replaces the mention: share of unchanged labels. If a marker replaces the target's "
        "words, this is 1 by design; if the words are kept, it is learnt.",
    ),
}
