"""What `ch6dist look` writes of a trained network and `analysis network` reads, as data; see docs/network.md.

TABLES["pairs.csv"]["back"]         # what a column means
IMAGES.parse("4")                   # 4, or InputError
"""

from __future__ import annotations

from ch6dist.catalog.parameters import Parameter

FORMAT = 1  # of network.json, the arrays and the tables; a newer one is refused by name
KIND = "look"
INDEX = "network.json"  # the trial, its checkpoint, the accuracy, the layers in order
ARRAYS = "network.npz"  # images, filters, feature maps, confusion
IMAGES = Parameter("--images", "int", 4, "images whose feature maps are kept", low=1, high=16)
SPLITS = {"val": "validation", "test": "test"}  # by what --split says
CHECKPOINTS = ("last", "best")
TOP_PAIRS = 15  # confused pairs in pairs.csv
LARGEST_PERCENTILE, SMALLEST_PERCENTILE = 99, 1  # of a layer's values: white and black of its feature maps

# Every table: its file and what its columns mean.
TABLES: dict[str, dict[str, str]] = {
    "layers.csv": {
        "layer": "name of the layer, in the order of the model's modules",
        "kind": "its class in torch",
        "shape": "of its output for one image: maps × height × width, or features",
        "outputs": "values that it puts out per image",
        "parameters": "numbers that it learns",
        "moved": "‖w − w₀‖ ÷ ‖w₀‖ over all its parameters together; w₀: as they were before training",
        "zeros": "share of its outputs that are zero, over all images",
        "saturated": "share of its outputs that are saturated, over all images; of a ReLU: zero for every image, dead",
        "low": "1st percentile of its outputs for the shown images: black in the feature maps",
        "high": "99th percentile of them: white in the feature maps",
    },
    "images.csv": {
        "image": "number of the shown image, from 1",
        "true": "its class",
        "predicted": "the class with the largest output",
        "probability": "softmax of that output",
    },
    "augmented.csv": {
        "image": "number of the training image, from 1",
        "epoch": "from 1",
        "mirrored": "1: left and right are exchanged",
        "down": "pixels by which the image stands lower than the original, mirrored or not; below 0: higher",
        "right": "pixels by which it stands further right; below 0: further left",
        "further": "what else the trial's augmentation has done with it, such as `rotate -27`; empty: nothing",
    },
    "classes.csv": {
        "class": "name of the class",
        "superclass": "name of its superclass; empty where the data set has none",
        "images": "images of the class in the split",
        "correct": "how many of them are predicted as the class",
        "accuracy": "correct ÷ images",
        "low": "lower end of its 95 % interval (Wilson 1927)",
        "high": "upper end",
    },
    "superclasses.csv": {
        "superclass": "name of the superclass",
        "images": "images of its classes in the split",
        "correct": "how many of them are predicted as their own class",
        "accuracy": "correct ÷ images",
        "low": "lower end of its 95 % interval (Wilson 1927)",
        "high": "upper end",
        "within": "how many of them are predicted as any class of the superclass",
        "within_accuracy": "within ÷ images",
        "within_low": "lower end of its 95 % interval",
        "within_high": "upper end",
    },
    "pairs.csv": {
        "true": "the class of the images",
        "predicted": "the class that they were taken for",
        "count": "how many of them were",
        "images": "images of the true class in the split",
        "back": "how many images of the predicted class were taken for the true one",
        "back_images": "images of the predicted class in the split",
        "same_superclass": "1: both are of one superclass; empty where the data set has none",
    },
}
WITH_SUPERCLASSES = "superclasses.csv"  # is only written where the data set has some
