// Losses on logits, in f64 for each element.

#define CROSS_ENTROPY 0
#define ABSOLUTE 1
#define GENERALISED 2
#define BOOTSTRAP 3

static __device__ bool is_clean(const float *clean, u32 row) { return clean && clean[row] > 0.5f; }

// One block for each row: its loss, and the gradient before a mean is taken. `number` is the loss's parameter; labels give
// the share `smoothing` away, evenly to all classes. Clean rows, which may be none, have their cross entropy.
KERNEL loss_rows(const float *logits, const float *targets, const float *clean, u32 classes, u32 kind, double number,
                 double smoothing, double *losses, double *gradient) {
    if (is_clean(clean, blockIdx.x)) {
        kind = CROSS_ENTROPY;
        smoothing = 0.0;
    }
    size_t row = (size_t)blockIdx.x * classes;
    double norm = log_sum_exp(logits + row, classes), given = 0.0;
    for (u32 k = threadIdx.x; k < classes; k += blockDim.x) given += smoothing * (double)targets[row + k];
    given = smoothing == 0.0 ? 0.0 : block_sum(given);
    double loss = 0.0, sum = 0.0;
    for (u32 k = threadIdx.x; k < classes; k += blockDim.x) {
        double t = targets[row + k], log_p = (double)logits[row + k] - norm, p = exp(log_p), a;
        if (smoothing != 0.0) t = (double)(float)((1.0 - smoothing) * t + given / classes);
        if (kind == CROSS_ENTROPY) {
            a = -t;
            if (t != 0.0) loss -= t * log_p;
        } else if (kind == ABSOLUTE) {
            a = p > t ? p : -p;
            loss += fabs(p - t);
        } else if (kind == GENERALISED) {
            double power = log(p + 1e-8);
            a = -t * p * exp((number - 1.0) * power);
            loss -= t * expm1(number * power) / number;
        } else {
            double least = log(1e-7), target = number * t + (1.0 - number) * p;
            bool below = log_p < least;
            a = -(1.0 - number) * p * (below ? least : log_p) - (below ? 0.0 : target);
            loss -= target * (below ? least : log_p);
        }
        gradient[row + k] = a;
        sum += a;
    }
    loss = block_sum(loss);
    sum = block_sum(sum);
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
    for (u32 k = threadIdx.x; k < classes; k += blockDim.x)
        gradient[row + k] -= exp((double)logits[row + k] - norm) * sum;
}

#define NO_LIMIT 0
#define SHARE_OF_MAXIMUM 1
#define DEVIATIONS 2
#define PERCENTILE 3

// In one block: above which loss a row is left out, and what the sum of the others is divided by (their number where `kept`
// is set). Where a loss is not finite none is left out. Clean rows are never left out, and the limit is that of the others, `m`
// of them. `sorted` has room for all losses.
KERNEL loss_limit(const double *losses, const float *clean, u32 n, u32 kind, double number, u32 kept, double *sorted,
                  double *limit) {
    double bad = 0.0, others = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        if (!isfinite(losses[i])) bad = 1.0;
        if (is_clean(clean, i)) continue;
        others += 1.0;
        u32 rank = 0;
        for (u32 j = 0; j < n; j++)
            rank += !is_clean(clean, j) && (losses[j] < losses[i] || (losses[j] == losses[i] && j < i));
        if (isfinite(losses[i])) sorted[rank] = losses[i];
    }
    bad = block_sum(bad);
    u32 m = (u32)block_sum(others);
    if (bad > 0.0 || m == 0) kind = NO_LIMIT;
    double most = -(double)NEGATIVE_INFINITY;
    if (kind == SHARE_OF_MAXIMUM) most = number * sorted[m - 1];
    if (kind == PERCENTILE) most = sorted[(u32)floor(number / 100.0 * (double)(m - 1))];
    if (kind == DEVIATIONS) {
        double sum = 0.0, square = 0.0;
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += is_clean(clean, i) ? 0.0 : losses[i];
        double mean = block_sum(sum) / m;
        for (u32 i = threadIdx.x; i < n; i += blockDim.x)
            square += is_clean(clean, i) ? 0.0 : (losses[i] - mean) * (losses[i] - mean);
        double variance = block_sum(square) / m;
        most = (sorted[(m - 1) / 2] + sorted[m / 2]) / 2.0 + number * sqrt(variance);
    }
    double count = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        count += kind != NO_LIMIT && losses[i] > most && !is_clean(clean, i) ? 0.0 : 1.0;
    count = block_sum(count);
    if (threadIdx.x == 0) {
        limit[0] = most;
        limit[1] = kept ? fmax(count, 1.0) : (double)n;
    }
}

// The loss, in one block.
KERNEL loss_total(const double *losses, const float *clean, u32 n, const double *limit, float *loss) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x)
        sum += losses[i] > limit[0] && !is_clean(clean, i) ? 0.0 : losses[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) loss[0] = (float)(sum / limit[1]);
}

KERNEL loss_gradient(const double *losses, const float *clean, const double *gradient, u32 n, u32 classes,
                     const double *limit, float *g) {
    EACH(i, n)
    g[i] = losses[i / classes] > limit[0] && !is_clean(clean, i / classes) ? 0.0f : (float)(gradient[i] / limit[1]);
}

// `ln(1 + exp(x))` and its derivative.
static __device__ double softplus(double x, double *slope) {
    double small = exp(-fabs(x));
    *slope = (x < 0.0 ? small : 1.0) / (1.0 + small);
    // `fmax` would hide a NaN.
    return (x < 0.0 ? 0.0 : x) + log1p(small);
}

// Binary cross entropy: partial sums for each block, and the gradient of the mean. `mask` may be missing.
KERNEL binary_cross_entropy(const float *logits, const float *targets, const float *mask, u32 n, double *parts, float *g) {
    double loss = 0.0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        double x = logits[i], t = targets[i], slope, plus = softplus(x, &slope);
        double masked = mask ? (1.0 - (double)mask[i]) * (1.0 - t) : 0.0;
        loss += plus - x * t - masked * plus;
        g[i] = (float)((slope - t - masked * slope) / n);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) parts[blockIdx.x] = loss;
}

// `x *= factor[0]`.
KERNEL scale_by(const float *factor, u32 n, float *x) {
    EACH(i, n)
    x[i] *= factor[0];
}
