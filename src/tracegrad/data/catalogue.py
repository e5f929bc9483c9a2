"""Catalogue: the public data sets, what they weigh, under which licence, and where they are."""

from typing import NamedTuple


class RemoteFile(NamedTuple):
    """A file to download: `digest` is "sha256:..." or "md5:...", or None where none is known."""

    url: str
    name: str
    digest: str | None


class DataSet(NamedTuple):
    """A public data set; `files` is empty where it has to be fetched by hand, as `by_hand` says.

    `size` is that of the download in megabytes, roughly. Names of archives end in .zip or .tar.gz;
    they are unpacked, without the first `strip` parts of the names inside.
    """

    what: str
    licence: str
    source: str
    size: int
    files: tuple[RemoteFile, ...] = ()
    by_hand: str = ""
    strip: int = 0


_ZENKE = "https://zenkelab.org/datasets"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"
_NMNIST = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"

# Digests of zenkelab.org and Mendeley are the publishers' MD5; those of MNIST and Speech Commands
# are the SHA-256 that several public readers of these sets agree on.
CATALOGUE = {
    "shd": DataSet(
        "Spiking Heidelberg Digits",
        "CC BY 4.0",
        "Cramer et al. 2020, https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        170,
        (
            RemoteFile(
                f"{_ZENKE}/shd_train.h5.zip",
                "shd_train.h5.zip",
                "md5:f3252aeb598ac776c1b526422d90eecb",
            ),
            RemoteFile(
                f"{_ZENKE}/shd_test.h5.zip",
                "shd_test.h5.zip",
                "md5:1503a5064faa34311c398fb0a1ed0a6f",
            ),
        ),
    ),
    "ssc": DataSet(
        "Spiking Speech Commands",
        "CC BY 4.0",
        "Cramer et al. 2020, https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        1600,
        (
            RemoteFile(
                f"{_ZENKE}/ssc_train.h5.zip",
                "ssc_train.h5.zip",
                "md5:d102be95e7144fcc0553d1f45ba94170",
            ),
            RemoteFile(
                f"{_ZENKE}/ssc_test.h5.zip",
                "ssc_test.h5.zip",
                "md5:a35ff1e9cffdd02a20eb850c17c37748",
            ),
            RemoteFile(
                f"{_ZENKE}/ssc_valid.h5.zip",
                "ssc_valid.h5.zip",
                "md5:b4eee3516a4a90dd0c71a6ac23a8ae43",
            ),
        ),
    ),
    "speech_commands": DataSet(
        "Google Speech Commands, version 2",
        "CC BY 4.0",
        "Warden 2018, arXiv 1804.03209",
        2429,
        (
            RemoteFile(
                "https://storage.googleapis.com/download.tensorflow.org/data/"
                "speech_commands_v0.02.tar.gz",
                "speech_commands_v0.02.tar.gz",
                "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            ),
        ),
    ),
    "nmnist": DataSet(
        "N-MNIST",
        "CC BY-SA 4.0",
        "Orchard et al. 2015, doi 10.17632/468j46mzdv.1",
        1200,
        (
            RemoteFile(
                f"{_NMNIST}/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                "Train.zip",
                "md5:20959b8e626244a1b502305a9e6e2031",
            ),
            RemoteFile(
                f"{_NMNIST}/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                "Test.zip",
                "md5:69ca8762b2fe404d9b9bad1103e97832",
            ),
        ),
    ),
    "dvs_gesture": DataSet(
        "DVS128 Gesture",
        "CC BY 4.0",
        "Amir et al. 2017, https://research.ibm.com/interactive/dvsgesture/",
        3000,
        by_hand="Get DvsGesture.tar.gz from the page of the set, and unpack it there, so that "
        "trials_to_train.txt lies in the folder",
    ),
    "mnist": DataSet(
        "MNIST",
        "said to be CC BY-SA 3.0; the authors state none",
        "LeCun, Cortes, Burges",
        12,
        (
            RemoteFile(
                f"{_MNIST}/train-images-idx3-ubyte.gz",
                "train-images-idx3-ubyte.gz",
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            RemoteFile(
                f"{_MNIST}/train-labels-idx1-ubyte.gz",
                "train-labels-idx1-ubyte.gz",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            RemoteFile(
                f"{_MNIST}/t10k-images-idx3-ubyte.gz",
                "t10k-images-idx3-ubyte.gz",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            RemoteFile(
                f"{_MNIST}/t10k-labels-idx1-ubyte.gz",
                "t10k-labels-idx1-ubyte.gz",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    "fsdd": DataSet(
        "Free Spoken Digit Dataset",
        "CC BY-SA 4.0",
        "Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset",
        20,
        (
            RemoteFile(
                "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/"
                "v1.0.10.zip",
                "fsdd.zip",
                None,
            ),
        ),
        strip=1,
    ),
    "braille_letters": DataSet(
        "Braille letters, tactile events",
        "CC BY 4.0 (recordings, as Zenodo usually has it; not checked)",
        "Mueller-Cleve et al. 2022, https://zenodo.org/record/7050094",
        3,
        by_hand="There is no download in the form that is read; docs/data.md says how to make it",
    ),
    "ecg_qtdb": DataSet(
        "ECG waves of the QT Database, level crossings",
        "MIT (encoding), ODC-By 1.0 (recordings)",
        "Yin, Corradi, Bohte 2021; Laguna et al. 1997",
        1,
        by_hand="There is no download in the form that is read; docs/data.md says how to make it",
    ),
    "nmnist_small": DataSet(
        "1100 recordings of N-MNIST",
        "CC BY-SA 4.0",
        "Orchard et al. 2015",
        15,
        by_hand="There is no download in the form that is read; docs/data.md says how to make it",
    ),
    "ucr_small": DataSet(
        "Japanese vowels and basic motions",
        "CC BY 4.0 (vowels, UCI), not stated (motions)",
        "Kudo et al. 1999; Bagnall et al. 2018, https://timeseriesclassification.com",
        1,
        by_hand="There is no download in the form that is read; docs/data.md says how to make it",
    ),
}
