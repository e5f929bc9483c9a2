/* ReckOn's own rule: a trace for each line, and weights that go one bit up or down by chance. */

/* How the traces of one kind decay: by decay/2^point, at most `most`; their draws have `point` bits,
   the upper ones of a register of 15. */
typedef struct {
    int64_t decay;
    int point;
    int64_t most;
} tg_decay;

/* How products of one kind meet their draws: shifted left by `boost`, within the `bits` of a draw,
   the upper ones of a register of 32. */
typedef struct {
    int boost;
    int bits;
} tg_odds;

/* A trace one step on: rounded up where what is cut off reaches the draw, but never from zero, nor by
   a decay of one; by one above that it wraps. */
static inline void tg_push(tg_trace *trace, int64_t gained, tg_decay how, tg_draws *draws,
                           uint32_t index) {
    const int64_t sum = *trace + gained;
    const int64_t product = (sum > how.most ? how.most : sum) * how.decay;
    const int64_t whole = (product >> how.point) & how.most;
    const int64_t cut = product & (tg_power(how.point) - 1);
    const int64_t draw = tg_word(draws, index) >> (15 - how.point);
    const int up = cut >= draw && whole != 0 && how.decay != tg_power(how.point);
    *trace = (tg_trace)((whole + up) & how.most);
}

/* What a product sees of a trace: the bits before its radix point. */
static inline int64_t tg_seen(tg_trace trace) { return trace >> TG_TRACE_SHIFT; }

/* A weight one bit in the direction of a product that, boosted, reaches its draw; it stays where it
   would not fit. */
static inline void tg_move(tg_weight *weight, int64_t product, tg_odds odds, tg_draws *draws,
                           uint32_t index) {
    const int64_t most = tg_power(odds.bits) - 1;
    const int64_t boosted = (product < 0 ? -product : product) * tg_power(odds.boost);
    const int64_t size = (boosted > most ? most : boosted) >> TG_RATE;
    const int64_t draw = tg_word(draws, index) >> (32 - odds.bits);
    const int64_t moved = *weight + (product > 0) - (product < 0);
    if (product != 0 && size >= draw && tg_fit(moved, TG_WEIGHT) == moved) {
        *weight = (tg_weight)moved;
    }
}

/* What a neuron's signal counts for: the level of the thresholds that its potential reaches. */
static inline int64_t tg_level(tg_state v) {
    static const int32_t thresholds[4] = TG_THRESHOLDS;
    static const int8_t levels[5] = TG_LEVELS;
    unsigned reached = 0;
    while (reached < 4u && v >= thresholds[reached]) {
        reached++;
    }
    return levels[reached];
}

static void tg_learn_hidden(tg_learner *learner, const uint8_t events[TG_INPUTS]) {
    static const tg_decay decay = {TG_TRACE_DECAY, 15, 4095};
    static const tg_odds odds = {TG_BOOST, 32};
    tg_traces *traces = &learner->traces;
    tg_draws input = tg_draws_after(&learner->trace_draws, 0u);
    tg_draws recurrent = tg_draws_after(&learner->trace_draws, 1u);
    tg_draws input_weight = tg_draws_after(&learner->weight_draws, 0u);
    tg_draws recurrent_weight = tg_draws_after(&learner->weight_draws, 1u);
    for (unsigned i = 0; i < TG_INPUTS; i++) {
        tg_push(&traces->input[i], events[i] * TG_TRACE_GAIN, decay, &input, i);
    }
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        tg_push(&traces->recurrent[i], learner->spikes_before[i] * TG_TRACE_GAIN, decay, &recurrent,
                i);
    }
    for (unsigned j = 0; j < TG_NEURONS; j++) {
        const int64_t factor = learner->signals[j] * tg_level(learner->rows[TG_ROWS - 1][j]);
        for (unsigned i = 0; i < TG_INPUTS; i++) {
            tg_move(&learner->weights.input[j][i], factor * tg_seen(traces->input[i]), odds,
                    &input_weight, (uint32_t)(j * TG_INPUTS + i));
        }
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            if (i != j) {
                tg_move(&learner->weights.recurrent[j][i], factor * tg_seen(traces->recurrent[i]),
                        odds, &recurrent_weight, (uint32_t)(j * TG_NEURONS + i));
            }
        }
    }
}

static void tg_learn_readout(tg_learner *learner, const int32_t errors[TG_OUTPUTS]) {
    static const tg_decay decay = {TG_READOUT_TRACE_DECAY, 7, 1023};
    static const tg_odds odds = {TG_READOUT_BOOST, 28};
    tg_draws lines = tg_draws_after(&learner->trace_draws, 2u);
    tg_draws weight = tg_draws_after(&learner->weight_draws, 2u);
    for (unsigned i = 0; i < TG_NEURONS; i++) {
        tg_push(&learner->traces.readout[i], learner->spikes[i] * TG_READOUT_TRACE_GAIN, decay,
                &lines, i);
    }
    for (unsigned k = 0; k < TG_OUTPUTS; k++) {
        for (unsigned i = 0; i < TG_NEURONS; i++) {
            tg_move(&learner->weights.readout[k][i],
                    errors[k] * tg_seen(learner->traces.readout[i]), odds, &weight,
                    (uint32_t)(k * TG_NEURONS + i));
        }
    }
}
