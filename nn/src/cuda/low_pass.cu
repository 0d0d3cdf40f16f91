// Filters whose taps are a softmax; one thread for each filter.

KERNEL tap_softmax_forward(const float *weight, u32 n, u32 taps, float *filter) {
    EACH(i, n)
    weight += (size_t)i * taps;
    filter += (size_t)i * taps;
    float most = NEGATIVE_INFINITY;
    for (u32 t = 0; t < taps; t++) most = fmaxf(most, weight[t]);
    double sum = 0.0;
    for (u32 t = 0; t < taps; t++) sum += exp((double)(weight[t] - most));
    for (u32 t = 0; t < taps; t++) filter[t] = (float)(exp((double)(weight[t] - most)) / sum);
}

KERNEL tap_softmax_backward(const float *filter, u32 n, u32 taps, float *g) {
    EACH(i, n)
    filter += (size_t)i * taps;
    g += (size_t)i * taps;
    double mean = 0.0;
    for (u32 t = 0; t < taps; t++) mean += (double)filter[t] * (double)g[t];
    for (u32 t = 0; t < taps; t++) g[t] = (float)((double)filter[t] * ((double)g[t] - mean));
}
