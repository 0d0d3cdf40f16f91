// Optimisers, and what decides on a step. `verdict` holds the loss, the number of correct rows, the squared norm of all
// gradients, and what gradients are multiplied by: NaN where the step must change nothing.

#define LOSS 0
#define CORRECT 1
#define SQUARE 2
#define CLIP 3

struct Update {
    float rate, decay, shrink, beta1, beta2, root, epsilon, trust;
    u32 first, nesterov, trusted;
};

static __device__ u32 largest(const float *row, u32 width) {
    u32 best = 0;
    for (u32 k = 1; k < width; k++)
        if (row[k] > row[best]) best = k;
    return best;
}

// In one block: the loss, and how many rows have their largest logit where their largest target is.
KERNEL verdict_begin(const float *loss, const float *logits, const float *targets, u32 rows, u32 width, double *verdict) {
    double correct = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) {
        size_t start = (size_t)row * width;
        if (largest(logits + start, width) == largest(targets + start, width)) correct += 1.0;
    }
    correct = block_sum(correct);
    if (threadIdx.x != 0) return;
    verdict[LOSS] = loss[0];
    verdict[CORRECT] = correct;
}

// Sums of squares, one for each block.
KERNEL squares(const float *x, u32 n, double *parts) {
    double sum = 0.0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += (double)x[i] * (double)x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// In one block: the squared norm, and what it means; gradients with a norm above `most` are scaled down to it.
KERNEL verdict_end(const double *parts, u32 count, double most, double *verdict) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x != 0) return;
    bool sound = isfinite(verdict[LOSS]) && isfinite(sum);
    verdict[SQUARE] = sum;
    verdict[CLIP] = sound ? fmin(most / (sqrt(sum) + 1e-6), 1.0) : (double)__int_as_float(0x7fc00000);
}

KERNEL adam_update(const float *gradient, const double *verdict, u32 n, Update u, float *value, float *first,
                   float *second) {
    EACH(i, n)
    float clip = (float)verdict[CLIP];
    if (isnan(clip)) return;
    float p = value[i] * u.shrink, g = gradient[i] * clip + p * u.decay;
    float m = first[i] * u.beta1 + g * (1.0f - u.beta1), v = second[i] * u.beta2 + g * g * (1.0f - u.beta2);
    first[i] = m;
    second[i] = v;
    value[i] = p - u.rate * (m / (sqrtf(v) * u.root + u.epsilon));
}

// `momentum` is missing where there is none.
KERNEL sgd_update(const float *gradient, const double *verdict, u32 n, Update u, float *value, float *momentum) {
    EACH(i, n)
    float clip = (float)verdict[CLIP];
    if (isnan(clip)) return;
    float g = gradient[i] * clip + value[i] * u.decay, move = g;
    if (momentum) {
        float b = u.first ? g : momentum[i] * u.beta1 + g;
        momentum[i] = b;
        move = u.nesterov ? g + u.beta1 * b : b;
    }
    value[i] -= u.rate * move;
}

// In one block, from the sums of squares of the parameter and of its gradient: the rate of LARS.
KERNEL lars_rate(const double *sizes, const double *slopes, u32 count, const double *verdict, Update u, float *rate) {
    double size = 0.0, slope = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) size += sizes[i], slope += slopes[i];
    size = sqrt(block_sum(size));
    slope = sqrt(block_sum(slope)) * (double)(float)verdict[CLIP];
    if (threadIdx.x != 0) return;
    double v = u.rate;
    if (u.trusted && size > 0.0 && slope > 0.0) v = v * (double)u.trust * size / (slope + (double)u.decay * size);
    rate[0] = (float)v;
}

KERNEL lars_update(const float *gradient, const double *verdict, u32 n, Update u, const float *rate, float *value,
                   float *momentum) {
    EACH(i, n)
    float clip = (float)verdict[CLIP];
    if (isnan(clip)) return;
    float b = momentum[i] * u.beta1 + rate[0] * (gradient[i] * clip + value[i] * u.decay);
    momentum[i] = b;
    value[i] -= b;
}

KERNEL average_update(const float *value, u32 n, float share, float *average) {
    EACH(i, n)
    average[i] += share * (value[i] - average[i]);
}
