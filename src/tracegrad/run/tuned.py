"""Tuned: settings of network and learning that were tried on each task."""

from dataclasses import replace

from tracegrad.run.config import Config, LearningConfig, NetworkConfig
from tracegrad.run.tuned_data import TUNED_DATA

# One layer without recurrence whose readout sums over time: enough where times tell the class.
SPIKE_TIMES = NetworkConfig(
    hidden=(128,),
    recurrent=False,
    bias=True,
    readout="integrator",
    tau_readout=None,
    input_gain=6.0,
)
GATED = NetworkConfig(hidden=(64,), neuron="GRU", bias=True, tau_readout=None, recurrent_gain=1.0)
# A time constant far below the step: the plain recurrent network of the source.
RATES = NetworkConfig(
    hidden=(32,), neuron="Tanh", tau_mem=1e-4, tau_readout=None, recurrent_gain=1.0
)
TUNED = {
    **TUNED_DATA,
    "digits": Config(
        "digits",
        network=NetworkConfig(
            hidden=(128,), input_gain=4.0, recurrent_gain=0.3, surrogate_slope=4.0
        ),
        learning=LearningConfig(
            learning_rate=3e-3,
            update_every=5,
            epochs=20,
            rate_strength=0.1,
            rate_target=0.1,
        ),
    ),
    "spoken_digits": Config(
        "spoken_digits",
        network=NetworkConfig(hidden=(160,), tau_mem=60e-3, tau_readout=60e-3, input_gain=4.0),
        learning=LearningConfig(
            learning_rate=5e-3, update_every=10, epochs=12, rate_strength=0.1, rate_target=0.08
        ),
    ),
    "braille": Config(
        "braille",
        network=NetworkConfig(
            hidden=(128,),
            tau_mem=60e-3,
            tau_readout=200e-3,
            input_gain=2.0,
            recurrent_gain=0.2,
        ),
        learning=LearningConfig(
            learning_rate=4e-3,
            update_every=16,
            batch=8,
            epochs=20,
            rate_strength=0.1,
            rate_target=0.08,
        ),
    ),
    # The network of Bellec et al. 2020 in units of its threshold 0.03: (1 - alpha) / 0.03 = 1.09.
    "pattern_generation": Config(
        "pattern_generation",
        network=NetworkConfig(
            hidden=(100,),
            autapses=False,
            tau_mem=30e-3,
            tau_readout=30e-3,
            input_gain=1.09,
            recurrent_gain=1.09,
            surrogate="Triangle",
        ),
        learning=LearningConfig(learning_rate=3e-3, batch=1, epochs=300),
    ),
    "evidence_accumulation": Config(
        "evidence_accumulation",
        network=NetworkConfig(
            hidden=(100,),
            neuron="ALIF",
            autapses=False,
            tau_adapt=2.0,
            tau_readout=20e-3,
            input_gain=1.67,
            recurrent_gain=1.67,
            surrogate="Triangle",
        ),
        # The source pulls rates to 10 Hz; without it random feedback leaves them far above.
        learning=LearningConfig(
            learning_rate=5e-3,
            batch=32,
            epochs=20,
            cosine=False,
            rate_strength=2.0,
            rate_target=0.01,
        ),
    ),
    # The same, in the form of its PyTorch version: membranes of 2 s hold the evidence.
    "evidence_accumulation_lif": Config(
        "evidence_accumulation_lif",
        network=NetworkConfig(
            hidden=(100,),
            autapses=False,
            tau_mem=2.0,
            tau_readout=20e-3,
            input_gain=0.5,
            recurrent_gain=0.1,
            surrogate="Triangle",
        ),
        learning=LearningConfig(learning_rate=1e-3, batch=20, epochs=10),
    ),
    **{
        name: Config(
            name,
            network=SPIKE_TIMES,
            learning=LearningConfig(
                learning_rate=1e-2,
                batch=batch,
                epochs=epochs,
            ),
        )
        for name, batch, epochs in (
            ("yin_yang", 50, 8),
            ("randman_rate", 100, 10),
        )
    },
    "randman": Config(
        "randman",
        network=replace(
            SPIKE_TIMES,
            neuron="CubaLIF",
            tau_mem=20e-3,
            tau_syn=10e-3,
            input_gain=12.0,
            surrogate_slope=10.0,
        ),
        learning=LearningConfig(learning_rate=1e-2, batch=50, epochs=12),
    ),
    # The membrane lasts as long as the pause, or longer.
    **{
        name: Config(
            name,
            network=NetworkConfig(hidden=(64,), tau_mem=tau, input_gain=gain),
            learning=LearningConfig(
                learning_rate=3e-3, batch=64, epochs=25, rate_strength=0.1, rate_target=0.05
            ),
        )
        for name, tau, gain in (
            ("delayed_xor_0", 150e-3, 1.5),
            ("delayed_xor_100", 300e-3, 1.5),
            ("delayed_xor_500", 500e-3, 1.5),
        )
    },
    **{
        name: Config(
            name,
            network=GATED,
            learning=LearningConfig(learning_rate=5e-3, epochs=epochs, cosine=cosine),
        )
        for name, epochs, cosine in (
            ("copy_pattern", 20, True),
            ("copy_memory", 20, True),
            ("copy_curriculum", 40, False),
            ("adding_problem", 20, True),
        )
    },
    **{
        name: Config(
            name,
            network=RATES,
            learning=LearningConfig(learning_rate=3e-3, update_every=20, epochs=30),
        )
        for name in ("add", "mimic")
    },
    "match_to_sample": Config(
        "match_to_sample",
        network=NetworkConfig(hidden=(100,), tau_mem=1.0, input_gain=0.5, recurrent_gain=0.2),
        learning=LearningConfig(learning_rate=3e-3, epochs=20, rate_strength=0.1, rate_target=0.02),
    ),
    "store_recall": Config(
        "store_recall",
        network=NetworkConfig(hidden=(100,), tau_mem=1.0, input_gain=0.7, recurrent_gain=0.2),
        learning=LearningConfig(learning_rate=2e-3, epochs=10, rate_strength=0.1, rate_target=0.02),
    ),
    "tempotron": Config(
        "tempotron",
        network=NetworkConfig(hidden=(100,), input_gain=3.0),
        learning=LearningConfig(learning_rate=5e-3, batch=20, epochs=40),
    ),
    "target_trains": Config(
        "target_trains",
        network=NetworkConfig(
            hidden=(100,), readout="double_exponential", tau_readout=10e-3, input_gain=3.0
        ),
        learning=LearningConfig(loss="van_rossum", learning_rate=3e-3, batch=1, epochs=200),
    ),
}
