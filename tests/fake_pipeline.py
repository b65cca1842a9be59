"""A pipeline and models of the demo that know their answers, for tests of the command line."""

from types import SimpleNamespace


class FakePipeline:
    """Finds the word "good", or the first word; remembers how it was asked for."""

    def __init__(self):
        self.task, self.options = None, {}

    def load(self, task, **options):
        if options["model"] == "missing":
            raise OSError("missing is not a local folder\nand is not a valid model identifier")
        self.task, self.options = task, options
        if task == "patch-localization":
            return self.localize_images
        return lambda texts: (
            [*map(self.localize, texts)]
            if isinstance(texts, list)
            else (self.localize(text) for text in texts)
        )

    def localize(self, text):
        result = {"label": "positive", "score": 0.97, "spans": [], "coverage": 0.0}
        if text.strip():
            shown = "good" if "good" in text else text.split()[0]
            start = text.index(shown)
            result["spans"] = [
                {
                    "start": start,
                    "end": start + len(shown),
                    "text": shown,
                    "label": "positive",
                    "evidence": 1.42,
                    "share": 0.31,
                    "scale": 1,
                }
            ]
        if "classifier" in self.options:
            answer = {
                "label": "positive",
                "score": 0.99,
                "stage": 1,
                "text": "it read \x1b[2J this",
            }
            result["classifier"] = answer
            result["cost"] = {"localizer_tokens": 290, "classifier_tokens": 61, "full_tokens": 288}
        return result

    def localize_images(self, images):
        if isinstance(images, list):
            return [*map(self.localize_image, images)]
        return (self.localize_image(image) for image in images)

    def localize_image(self, path):
        box = {"xmin": 2, "ymin": 1, "xmax": 12, "ymax": 11}
        patch = {"box": box, "label": "nut", "evidence": 1.42, "share": 0.31, "scale": 10}
        result = {"label": "nut", "score": 0.97, "patches": [patch], "coverage": 0.25}
        if self.options.get("return_maps"):
            result["maps"] = {"nut": [[0.5, -0.1], [0.0, 1.0]]}
        if "classifier" in self.options:
            result["classifier"] = {"label": "nut", "score": 0.99, "stage": 1}
        return result


class FakeModels:
    """Models of the demo with the answers of a `FakePipeline`, and costs that are given."""

    sizes = usual_sizes = (1,)

    def __init__(self, fake, calibrated=False, parts=("it read this",), **costs):
        self.fake, self.calibrated = fake, calibrated
        first = "ngrams" if calibrated else "localizer"
        together = SimpleNamespace(milliseconds=2.0)
        told = {"together": together, "full": None, "times_faster": None} | costs
        self.comparison = SimpleNamespace(first=first, parts=parts, **told)

    def ask(self, source, options):
        self.fake.options = {"classifier": "shipped/classifier", "return_maps": True}
        answer = self.fake.localize if isinstance(source, str) else self.fake.localize_image
        return SimpleNamespace(result=answer(source), comparison=self.comparison)
