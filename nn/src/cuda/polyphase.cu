// Adaptive polyphase sampling.

#define L1_INDUCED 0
#define L1_FLAT 1
#define L2 2
#define L_INF 3

// The position that a grid keeps `i`-th; the last one may be a reflection.
static __device__ u32 kept(u32 i, u32 odd, u32 length) {
    u32 at = 2 * i + odd;
    return at == length ? length - 2 : at;
}

// The larger number, or NaN, which must not be hidden.
static __device__ double larger(double a, double b) { return b > a || isnan(b) ? b : a; }

// The norm of each channel of a sample on each grid, or what grows with it: (sample, grid, channel).
KERNEL polyphase_norms(const float *x, u32 n, u32 height, u32 width, u32 channels, u32 norm, double *norms) {
    EACH(i, n)
    u32 k = i % channels, grid = i / channels % 4;
    x += (size_t)(i / channels / 4) * height * width * channels + k;
    double sum = 0.0;
    for (u32 r = 0; r < (height + 1) / 2; r++) {
        const float *row = x + (size_t)kept(r, grid % 2, height) * width * channels;
        float part = 0.0f;
        for (u32 c = 0; c < (width + 1) / 2; c++) {
            float v = row[(size_t)kept(c, grid / 2, width) * channels];
            if (norm == L_INF) part = fabsf(v) > part || isnan(v) ? fabsf(v) : part;
            else part += norm == L2 ? v * v : fabsf(v);
        }
        sum = norm == L_INF ? larger(sum, part) : sum + part;
    }
    norms[i] = sum;
}

// The first grid with the largest norm of each sample.
KERNEL polyphase_choice(const double *norms, u32 n, u32 channels, u32 norm, u32 *grids) {
    EACH(sample, n)
    double most = (double)NEGATIVE_INFINITY;
    u32 chosen = 0;
    for (u32 grid = 0; grid < 4; grid++) {
        double all = 0.0;
        for (u32 k = 0; k < channels; k++) {
            double v = norms[((size_t)sample * 4 + grid) * channels + k];
            all = norm == L1_FLAT || norm == L2 ? all + v : larger(all, v);
        }
        if (all > most || isnan(all)) most = all, chosen = grid;
    }
    grids[sample] = chosen;
}

KERNEL polyphase_forward(const float *x, const u32 *grids, u32 n, u32 height, u32 width, u32 channels, float *y) {
    EACH(i, n)
    u32 rows = (height + 1) / 2, columns = (width + 1) / 2;
    u32 k = i % channels, c = i / channels % columns, r = i / channels / columns % rows;
    u32 sample = i / channels / columns / rows, grid = grids[sample];
    u32 row = kept(r, grid % 2, height), column = kept(c, grid / 2, width);
    y[i] = x[(((size_t)sample * height + row) * width + column) * channels + k];
}

KERNEL polyphase_backward(const float *dy, const u32 *grids, u32 n, u32 height, u32 width, u32 channels, float *dx) {
    EACH(i, n)
    u32 rows = (height + 1) / 2, columns = (width + 1) / 2;
    u32 k = i % channels, column = i / channels % width, row = i / channels / width % height;
    u32 sample = i / channels / width / height, grid = grids[sample];
    float sum = 0.0f;
    // A reflected position is kept twice, the second time by the last one.
    for (u32 r = row / 2; r < rows; r += r + 1 < rows ? rows - 1 - r : 1) {
        if (kept(r, grid % 2, height) != row) continue;
        for (u32 c = column / 2; c < columns; c += c + 1 < columns ? columns - 1 - c : 1)
            if (kept(c, grid / 2, width) == column) sum += dy[(((size_t)sample * rows + r) * columns + c) * channels + k];
    }
    dx[i] = sum;
}
