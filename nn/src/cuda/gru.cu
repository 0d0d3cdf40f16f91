// Gates of recurrent units; matrix products come from cuBLAS. Gates of a step lie one behind the other: reset, update, new.

// One step: `x` (sample, step, 3 hidden) and `h` (sample, 3 hidden) are the two products without their biases.
// `gates` (sample, step, 4 hidden) are reset, update, new, and the recurrent part of the new gate.
KERNEL gru_cells(const float *x, const float *h, const float *input_bias, const float *recurrent_bias, u32 n, u32 steps,
                 u32 hidden, u32 step, u32 y_stride, float *state, float *gates, float *states, float *y) {
    EACH(j, n)
    u32 i = j % hidden, sample = j / hidden;
    size_t at = (size_t)sample * steps + step;
    x += at * 3 * hidden + i;
    h += (size_t)sample * 3 * hidden + i;
    float reset = sigmoid(x[0] + input_bias[i] + h[0] + recurrent_bias[i]);
    float update = sigmoid(x[hidden] + input_bias[hidden + i] + h[hidden] + recurrent_bias[hidden + i]);
    float recurrent = h[2 * hidden] + recurrent_bias[2 * hidden + i];
    float fresh = tanhf(x[2 * hidden] + input_bias[2 * hidden + i] + reset * recurrent);
    float v = fresh + update * (state[j] - fresh);
    gates += at * 4 * hidden + i;
    gates[0] = reset;
    gates[hidden] = update;
    gates[2 * hidden] = fresh;
    gates[3 * hidden] = recurrent;
    state[j] = v;
    states[at * hidden + i] = v;
    y[at * y_stride + i] = v;
}

// States before each step, of zeros before the first; `reverse` begins at the last one.
KERNEL gru_before(const float *states, u32 n, u32 steps, u32 hidden, u32 reverse, float *before) {
    EACH(j, n)
    u32 step = j / hidden % steps;
    bool first = reverse ? step == steps - 1 : step == 0;
    before[j] = first ? 0.0f : reverse ? states[j + hidden] : states[j - hidden];
}

// One step backwards: turns the gradient of the state behind the step, plus `dy`, into that of the state before it, without
// the part through the gates; `to_input` and `to_recurrent` (sample, step, 3 hidden) are what flows into the two products.
KERNEL gru_cells_backward(const float *dy, u32 dy_stride, const float *gates, const float *before, u32 n, u32 steps,
                          u32 hidden, u32 step, float *dh, float *to_input, float *to_recurrent) {
    EACH(j, n)
    u32 i = j % hidden, sample = j / hidden;
    size_t at = (size_t)sample * steps + step;
    gates += at * 4 * hidden + i;
    float r = gates[0], z = gates[hidden], fresh = gates[2 * hidden], recurrent = gates[3 * hidden];
    float d = dh[j] + dy[at * dy_stride + i];
    float into_new = d * (1.0f - z) * (1.0f - fresh * fresh);
    float into_reset = into_new * recurrent * r * (1.0f - r);
    float into_update = d * (before[at * hidden + i] - fresh) * z * (1.0f - z);
    to_input += at * 3 * hidden + i;
    to_recurrent += at * 3 * hidden + i;
    to_input[0] = to_recurrent[0] = into_reset;
    to_input[hidden] = to_recurrent[hidden] = into_update;
    to_input[2 * hidden] = into_new;
    to_recurrent[2 * hidden] = into_new * r;
    dh[j] = d * z;
}

KERNEL last_product_forward(const float *x, u32 n, u32 steps, u32 half, float *y) {
    EACH(i, n)
    x += ((size_t)(i / half) * steps + steps - 1) * 2 * half + i % half;
    y[i] = x[0] * x[half];
}

KERNEL last_product_backward(const float *x, const float *dy, u32 n, u32 steps, u32 half, float *dx) {
    EACH(i, n)
    u32 k = i % (2 * half), step = i / (2 * half) % steps, sample = i / (2 * half) / steps;
    u32 other = k < half ? i + half : i - half;
    dx[i] = step == steps - 1 ? dy[(size_t)sample * half + k % half] * x[other] : 0.0f;
}
