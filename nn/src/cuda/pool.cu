// Pooling.

// Maxima of 2x2 windows, and which of the four it was.
KERNEL max_pool_forward(const float *x, u32 n, u32 height, u32 width, u32 channels, float *y, u8 *which) {
    EACH(i, n)
    u32 columns = width / 2, rows = height / 2;
    u32 k = i % channels, c = i / channels % columns, r = i / channels / columns % rows;
    u32 sample = i / channels / columns / rows, line = width * channels;
    const float *window = x + ((size_t)sample * height + 2 * r) * line + 2 * c * channels + k;
    float best = window[0], other = window[channels];
    u8 index = 0;
    if (other > best) best = other, index = 1;
    other = window[line];
    if (other > best) best = other, index = 2;
    other = window[line + channels];
    if (other > best) best = other, index = 3;
    y[i] = best;
    which[i] = index;
}

KERNEL max_pool_backward(const float *g, const u8 *which, u32 n, u32 height, u32 width, u32 channels, float *dx) {
    EACH(i, n)
    u32 columns = width / 2, rows = height / 2;
    u32 k = i % channels, c = i / channels % width, r = i / channels / width % height;
    u32 sample = i / channels / width / height;
    float d = 0.0f;
    if (r / 2 < rows && c / 2 < columns) {
        size_t at = (((size_t)sample * rows + r / 2) * columns + c / 2) * channels + k;
        if (which[at] == r % 2 * 2 + c % 2) d = g[at];
    }
    dx[i] = d;
}

// Mean over columns, then maximum over rows, and the row that won.
KERNEL mean_max_forward(const float *x, u32 n, u32 height, u32 width, u32 channels, float *y, u32 *which) {
    EACH(i, n)
    const float *at = x + (size_t)(i / channels) * height * width * channels + i % channels;
    float best = NEGATIVE_INFINITY;
    u32 row = 0;
    for (u32 r = 0; r < height; r++) {
        float mean = 0.0f;
        for (u32 c = 0; c < width; c++, at += channels) mean += *at;
        mean /= (float)width;
        // A NaN must not be hidden by a comparison that is false.
        if (mean > best || isnan(mean)) best = mean, row = r;
    }
    y[i] = best;
    which[i] = row;
}

KERNEL mean_max_backward(const float *g, const u32 *which, u32 n, u32 height, u32 width, u32 channels, float *dx) {
    EACH(i, n)
    u32 k = i % channels, r = i / channels / width % height;
    u32 at = i / channels / width / height * channels + k;
    dx[i] = which[at] == r ? g[at] / (float)width : 0.0f;
}
