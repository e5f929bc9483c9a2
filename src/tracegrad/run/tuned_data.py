"""Tuned data: settings for the real sets that are read from disk.

They follow the tasks of `tuned` that are most alike, but for ECG's, which were found on held-out
fifths of its training set; none was searched for on a test set. Those of the sets that were not at
hand (SHD, SSC, N-MNIST, DVS Gesture, Speech Commands) were only run on small files of their format.
"""

from dataclasses import replace

from tracegrad.run.config import Config, LearningConfig, NetworkConfig

_SPEECH = NetworkConfig(hidden=(256,), tau_mem=60e-3, tau_readout=60e-3, input_gain=6.0)
_PIXELS = NetworkConfig(hidden=(128,), tau_mem=60e-3, tau_readout=60e-3, input_gain=6.0)
_SLOW = LearningConfig(
    learning_rate=3e-3, update_every=10, epochs=10, rate_strength=0.1, rate_target=0.05
)
_ROWS = NetworkConfig(hidden=(128,), tau_mem=10e-3, tau_readout=20e-3, input_gain=3.0)
_LONG = NetworkConfig(
    hidden=(128,), neuron="ALIF", tau_mem=20e-3, tau_adapt=0.7, tau_readout=50e-3, input_gain=3.0
)

TUNED_DATA = {
    **{
        name: Config(name, network=_SPEECH, learning=_SLOW)
        for name in ("shd", "ssc", "speech_commands")
    },
    "cochlea_speech": Config(
        "cochlea_speech",
        network=_SPEECH,
        learning=replace(_SLOW, update_every=None, epochs=40),  # a folder of sounds is a small set
    ),
    **{name: Config(name, network=_PIXELS, learning=_SLOW) for name in ("nmnist", "dvs_gesture")},
    "nmnist_small": Config(
        "nmnist_small",
        network=NetworkConfig(
            conv="12c5s2-32c5s2",
            hidden=(),
            recurrent=False,
            tau_mem=30e-3,
            tau_readout=30e-3,
            input_gain=3.0,
        ),
        learning=LearningConfig(learning_rate=5e-3, batch=10, epochs=7, shift=1),
    ),
    "sequential_mnist": Config(
        "sequential_mnist",
        network=_ROWS,
        learning=LearningConfig(
            learning_rate=3e-3, update_every=4, epochs=10, rate_strength=0.1, rate_target=0.1
        ),
    ),
    **{
        name: Config(
            name, network=_LONG, learning=LearningConfig(learning_rate=3e-3, update_every=56)
        )
        for name in ("sequential_mnist_pixels", "permuted_mnist")
    },
    **{
        name: Config(
            name,
            network=NetworkConfig(
                hidden=(200,),
                neuron="ALIF",
                tau_mem=20e-3,
                tau_adapt=0.7,
                tau_readout=20e-3,
                input_gain=2.0,
                recurrent_gain=0.3,
                surrogate="SuperSpike",
                surrogate_slope=4.0,
            ),
            learning=LearningConfig(learning_rate=5e-3, update_every=50),
        )
        for name in ("ecg_qtdb", "ecg_qtdb_published")
    },
    "japanese_vowels": Config(
        "japanese_vowels",
        network=NetworkConfig(hidden=(64,), tau_mem=40e-3, tau_readout=100e-3, input_gain=2.0),
        learning=LearningConfig(learning_rate=5e-3, update_every=5, batch=16, epochs=30),
    ),
    "basic_motions": Config(
        "basic_motions",
        network=NetworkConfig(hidden=(64,), tau_mem=0.5, tau_readout=1.0, input_gain=2.0),
        learning=LearningConfig(learning_rate=5e-3, update_every=10, batch=8, epochs=30),
    ),
}
