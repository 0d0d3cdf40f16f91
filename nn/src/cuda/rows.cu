// Lengths and layer normalisation: statistics of rows, one block for each.

static __device__ double row_product(const float *a, const float *b, u32 width) {
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) sum += (double)a[k] * (double)b[k];
    return block_sum(sum);
}

KERNEL l2_normalise_forward(const float *x, u32 width, double least, float *y) {
    size_t row = (size_t)blockIdx.x * width;
    double factor = 1.0 / fmax(sqrt(row_product(x + row, x + row, width)), least);
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) y[row + k] = (float)((double)x[row + k] * factor);
}

KERNEL l2_normalise_backward(const float *x, u32 width, double least, float *g) {
    size_t row = (size_t)blockIdx.x * width;
    double norm = sqrt(row_product(x + row, x + row, width)), factor = 1.0 / fmax(norm, least);
    double along = row_product(x + row, g + row, width);
    along = norm < least ? 0.0 : along * factor * factor;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x)
        g[row + k] = (float)(((double)g[row + k] - (double)x[row + k] * along) * factor);
}

// Mean and one over the standard deviation of each row.
KERNEL row_statistics(const float *x, u32 width, double epsilon, float *statistics) {
    const float *row = x + (size_t)blockIdx.x * width;
    double sum = 0.0, square = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) sum += (double)row[k];
    double mean = block_sum(sum) / width;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) square += ((double)row[k] - mean) * ((double)row[k] - mean);
    double variance = block_sum(square) / width;
    if (threadIdx.x == 0) {
        statistics[2 * (size_t)blockIdx.x] = (float)mean;
        statistics[2 * (size_t)blockIdx.x + 1] = (float)(1.0 / sqrt(variance + epsilon));
    }
}

KERNEL layer_norm_forward(const float *x, const float *statistics, const float *weight, const float *bias, u32 n,
                          u32 width, float *y) {
    EACH(i, n)
    const float *s = statistics + 2 * (size_t)(i / width);
    y[i] = (x[i] - s[0]) * s[1] * weight[i % width] + bias[i % width];
}

// Sums of the weight's and the bias's gradients over pieces of rows.
KERNEL layer_norm_sums(const float *x, const float *statistics, const float *g, u32 rows, u32 width, u32 piece,
                       double *parts) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    double weight = 0.0, bias = 0.0;
    if (c < width) {
        u32 end = lesser(rows, (blockIdx.y + 1) * piece);
        for (u32 r = blockIdx.y * piece + threadIdx.y; r < end; r += LINES) {
            size_t at = (size_t)r * width + c;
            weight += (double)(g[at] * ((x[at] - statistics[2 * (size_t)r]) * statistics[2 * (size_t)r + 1]));
            bias += (double)g[at];
        }
    }
    weight = line_sum(weight);
    bias = line_sum(bias);
    if (threadIdx.y == 0 && c < width) {
        parts[(size_t)blockIdx.y * 2 * width + c] = weight;
        parts[((size_t)blockIdx.y * 2 + 1) * width + c] = bias;
    }
}

KERNEL layer_norm_backward(const float *x, const float *statistics, const float *weight, u32 width, float *g) {
    size_t row = (size_t)blockIdx.x * width;
    float mean = statistics[2 * (size_t)blockIdx.x], inverse = statistics[2 * (size_t)blockIdx.x + 1];
    double sum = 0.0, product = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
        double scaled = (double)(g[row + k] * weight[k]);
        sum += scaled;
        product += scaled * (double)((x[row + k] - mean) * inverse);
    }
    float flat = (float)(block_sum(sum) / width), slope = (float)(block_sum(product) / width);
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
        float normal = (x[row + k] - mean) * inverse;
        g[row + k] = (g[row + k] * weight[k] - flat - normal * slope) * inverse;
    }
}
