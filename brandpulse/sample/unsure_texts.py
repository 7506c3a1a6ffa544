"""Finds texts of the sample whose label hinges on rounding: `python -m brandpulse.sample.unsure_texts`.

The demo must show the same incident on every machine, whichever precision its processor is fastest at. So the sample
holds only texts that the shipped model labels alike in each precision, and by a margin. Run it after new weights are
shipped or phrases are written, then `python -m brandpulse.sample.generate`.
"""

from brandpulse.sample.generate import UNSURE_FILE, SamplePost, write_stream

LEAST_MARGIN = 0.15
"""Between the two most probable labels, in fp32. int8 moved 30 of 3,000 labels, nearly all with less than this."""
ROUNDS = 12
"""A text that is written in place of an unsure one may be unsure itself."""


def unsure_texts(stream: list[SamplePost], *, least_margin: float = LEAST_MARGIN) -> set[str]:
    """Texts of *stream* whose label for some brand differs between precisions, or leads by less than *least_margin*."""
    import numpy as np

    from brandpulse.config.brands_file import load_brands
    from brandpulse.text.brand_matcher import BrandMatcher
    from model.cpu.onnxruntime_requests import onnx_is_installed
    from model.loader import load_scorer
    from model.spec.options import Precision
    from stream_workers.scoring.brand_marker import BrandMarker

    matcher = BrandMatcher(load_brands(UNSURE_FILE.with_name("brands.yaml")))
    marker = BrandMarker(matcher)
    texts = list(dict.fromkeys(each.post.text for each in stream))
    named = [(text, brands) for text in texts if (brands := matcher.match_with_facets(text)[0])]
    posts = [marker.mark(text, brands) for text, brands in named]
    owners = [text for text, brands in named for _ in brands]
    precisions: list[Precision] = ["fp32", "bf16", "int8"]
    if onnx_is_installed():
        precisions.append("int8-onnxruntime")
    found = {precision: load_scorer("openvino", precision=precision).score(posts).target for precision in precisions}
    labels = {precision: scores.argmax(axis=1) for precision, scores in found.items()}
    ranked = np.sort(found["fp32"], axis=1)
    unsure = ranked[:, -1] - ranked[:, -2] < least_margin
    for other in labels.values():
        unsure |= other != labels["fp32"]
    return {owner for owner, doubtful in zip(owners, unsure.tolist(), strict=True) if doubtful}


def main() -> None:
    known: set[str] = set()
    for _ in range(ROUNDS):
        found = unsure_texts(write_stream(known))
        print(f"{len(found)} unsure texts")
        known |= found
        if not found:
            break
    else:
        raise SystemExit(f"texts are still unsure after {ROUNDS} rounds: look at the newest lines of {UNSURE_FILE}")
    UNSURE_FILE.write_text("".join(f"{text}\n" for text in sorted(known)), encoding="utf-8")


if __name__ == "__main__":
    main()
