// Batch normalisation and instance normalisation, over rows of channels.
//
// A normaliser is four rows: mean, 1 / std, gamma / std, beta - mean gamma / std.

static __device__ void moments_of(const float *x, u32 start, u32 end, u32 channels, u32 c, float shift, double *sum,
                                  double *square) {
    u32 r = start + threadIdx.y;
    while (r < end) {
        float s = 0.0f, q = 0.0f;
        for (u32 k = 0; k < INNER && r < end; k++, r += LINES) {
            float d = x[(size_t)r * channels + c] - shift;
            s += d;
            q += d * d;
        }
        *sum += s;
        *square += q;
    }
}

// Sums of `x - shift` and of its square over pieces of rows.
KERNEL moments(const float *x, const float *shift, u32 rows, u32 channels, u32 piece, double *parts) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    double sum = 0.0, square = 0.0;
    if (c < channels)
        moments_of(x, blockIdx.y * piece, lesser(rows, (blockIdx.y + 1) * piece), channels, c, shift[c], &sum, &square);
    sum = line_sum(sum);
    square = line_sum(square);
    if (threadIdx.y == 0 && c < channels) {
        double *part = parts + (size_t)blockIdx.y * 2 * channels;
        part[c] = sum;
        part[channels + c] = square;
    }
}

static __device__ void normaliser(double mean, double variance, float gamma, float beta, double epsilon, u32 channels,
                                  u32 c, float *out) {
    double inverse = 1.0 / sqrt(variance + epsilon), scale = inverse * (double)gamma;
    out[c] = (float)mean;
    out[channels + c] = (float)inverse;
    out[2 * channels + c] = (float)scale;
    out[3 * channels + c] = (float)((double)beta - mean * scale);
}

// The normaliser of a batch and the new running statistics.
KERNEL batch_normaliser(const double *parts, u32 count, u32 rows, u32 channels, const float *old_mean,
                        const float *old_variance, const float *gamma, const float *beta, double epsilon,
                        double momentum, float *out, float *new_mean, float *new_variance) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    u32 column = c < channels ? c : 2 * channels;
    double sum = column_of_parts(parts, count, 2 * channels, column);
    double square = column_of_parts(parts, count, 2 * channels, channels + column);
    if (threadIdx.y != 0 || c >= channels) return;
    double d = sum / rows, mean = (double)old_mean[c] + d;
    double variance = square / rows - d * d;
    variance = variance < 0.0 ? 0.0 : variance;
    normaliser(mean, variance, gamma[c], beta[c], epsilon, channels, c, out);
    double unbiased = variance * rows / (rows - 1.0);
    new_mean[c] = (float)((1.0 - momentum) * (double)old_mean[c] + momentum * mean);
    new_variance[c] = (float)((1.0 - momentum) * (double)old_variance[c] + momentum * unbiased);
}

// The normaliser of given statistics.
KERNEL running_normaliser(const float *mean, const float *variance, const float *gamma, const float *beta,
                          double epsilon, u32 channels, float *out) {
    EACH(c, channels)
    normaliser(mean[c], variance[c], gamma[c], beta[c], epsilon, channels, c, out);
}

// The normaliser of each sample of `rows` positions; one line of blocks for each.
KERNEL instance_normaliser(const float *x, u32 rows, u32 channels, const float *gamma, const float *beta,
                           double epsilon, float *out) {
    u32 c = blockIdx.y * TILE + threadIdx.x, sample = blockIdx.x;
    x += (size_t)sample * rows * channels;
    double sum = 0.0, square = 0.0;
    float shift = c < channels ? x[c] : 0.0f;
    if (c < channels) moments_of(x, 0, rows, channels, c, shift, &sum, &square);
    sum = line_sum(sum);
    square = line_sum(square);
    if (threadIdx.y != 0 || c >= channels) return;
    double d = sum / rows, variance = square / rows - d * d;
    variance = variance < 0.0 ? 0.0 : variance;
    normaliser((double)shift + d, variance, gamma[c], beta[c], epsilon, channels, c, out + (size_t)sample * 4 * channels);
}

// The value before the ReLU; the backward pass must come to the same one.
static __device__ float affine(float x, const float *norm, u32 channels, u32 c) {
    return fmaf(x, norm[2 * channels + c], norm[3 * channels + c]);
}

// `y = relu(x * scale + offset)`; `each` numbers share a normaliser.
KERNEL normalise(const float *x, const float *norm, u32 n, u32 each, u32 channels, u32 relu, float *y) {
    EACH(i, n)
    float v = affine(x[i], norm + (size_t)(i / each) * 4 * channels, channels, i % channels);
    y[i] = relu && v < 0.0f ? 0.0f : v;
}

static __device__ void gradient_sums_of(const float *x, const float *g, const float *norm, u32 start, u32 end,
                                        u32 channels, u32 c, u32 relu, double *sum, double *product) {
    float mean = norm[c], inverse = norm[channels + c];
    u32 r = start + threadIdx.y;
    while (r < end) {
        float s = 0.0f, p = 0.0f;
        for (u32 k = 0; k < INNER && r < end; k++, r += LINES) {
            size_t at = (size_t)r * channels + c;
            float v = x[at];
            float passed = !relu || affine(v, norm, channels, c) > 0.0f ? g[at] : 0.0f;
            s += passed;
            p += passed * ((v - mean) * inverse);
        }
        *sum += s;
        *product += p;
    }
}

// Sums of the gradient and of its product with the normalised input over pieces of rows.
KERNEL norm_gradient_sums(const float *x, const float *g, const float *norm, u32 rows, u32 channels, u32 piece,
                          u32 relu, double *parts) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    double sum = 0.0, product = 0.0;
    if (c < channels)
        gradient_sums_of(x, g, norm, blockIdx.y * piece, lesser(rows, (blockIdx.y + 1) * piece), channels, c, relu, &sum,
                         &product);
    sum = line_sum(sum);
    product = line_sum(product);
    if (threadIdx.y == 0 && c < channels) {
        double *part = parts + (size_t)blockIdx.y * 2 * channels;
        part[c] = sum;
        part[channels + c] = product;
    }
}

// What the gradient of the input subtracts: a constant, and a multiple of `x - mean`.
static __device__ void subtrahends(double sum, double product, double rows, const float *norm, u32 channels, u32 c,
                                   float *out) {
    double scale = norm[2 * channels + c];
    out[c] = (float)(scale * sum / rows);
    out[channels + c] = (float)(scale * product / rows * (double)norm[channels + c]);
}

KERNEL batch_norm_gradients(const double *parts, u32 count, u32 rows, u32 channels, const float *norm, u32 batch,
                            float *dgamma, float *dbeta, float *out) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    u32 column = c < channels ? c : 2 * channels;
    double sum = column_of_parts(parts, count, 2 * channels, column);
    double product = column_of_parts(parts, count, 2 * channels, channels + column);
    if (threadIdx.y != 0 || c >= channels) return;
    dgamma[c] = (float)product;
    dbeta[c] = (float)sum;
    subtrahends(batch ? sum : 0.0, batch ? product : 0.0, rows, norm, channels, c, out);
}

// Sums of each sample, in rows of (product, sum), and what its gradient subtracts.
KERNEL instance_norm_gradients(const float *x, const float *g, const float *norm, u32 rows, u32 channels,
                               double *parts, float *out) {
    u32 c = blockIdx.y * TILE + threadIdx.x, sample = blockIdx.x;
    size_t start = (size_t)sample * rows * channels;
    norm += (size_t)sample * 4 * channels;
    double sum = 0.0, product = 0.0;
    if (c < channels) gradient_sums_of(x + start, g + start, norm, 0, rows, channels, c, 0, &sum, &product);
    sum = line_sum(sum);
    product = line_sum(product);
    if (threadIdx.y != 0 || c >= channels) return;
    parts[(size_t)sample * 2 * channels + c] = product;
    parts[((size_t)sample * 2 + 1) * channels + c] = sum;
    subtrahends(sum, product, rows, norm, channels, c, out + (size_t)sample * 2 * channels);
}

// Turns the gradient of the output into that of the input.
KERNEL normalise_backward(const float *x, const float *norm, const float *subtract, u32 n, u32 each, u32 channels,
                          u32 relu, float *g) {
    EACH(i, n)
    u32 c = i % channels;
    norm += (size_t)(i / each) * 4 * channels;
    subtract += (size_t)(i / each) * 2 * channels;
    float passed = !relu || affine(x[i], norm, channels, c) > 0.0f ? g[i] : 0.0f;
    g[i] = passed * norm[2 * channels + c] - subtract[c] - (x[i] - norm[c]) * subtract[channels + c];
}
