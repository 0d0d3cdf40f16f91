// Parametric ReLU; `slopes` is the number of slopes, one or one for each channel.

KERNEL prelu_forward(const float *x, const float *weight, u32 n, u32 channels, u32 slopes, float *y) {
    EACH(i, n)
    y[i] = x[i] > 0.0f ? x[i] : x[i] * weight[slopes == 1 ? 0 : i % channels];
}

// What each number gives to the gradient of its slope.
KERNEL prelu_slopes(const float *x, const float *g, u32 n, float *d) {
    EACH(i, n)
    d[i] = x[i] > 0.0f ? 0.0f : g[i] * x[i];
}

KERNEL prelu_backward(const float *x, const float *weight, u32 n, u32 channels, u32 slopes, float *g) {
    EACH(i, n)
    if (!(x[i] > 0.0f)) g[i] *= weight[slopes == 1 ? 0 : i % channels];
}
