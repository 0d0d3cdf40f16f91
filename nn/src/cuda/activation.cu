// Activations.

KERNEL relu_forward(const float *x, u32 n, float *y) {
    EACH(i, n)
    y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

KERNEL relu_backward(const float *y, u32 n, float *g) {
    EACH(i, n)
    if (!(y[i] > 0.0f)) g[i] = 0.0f;
}

static __device__ float sigmoid(float x) {
    float small = expf(-fabsf(x));
    return (x < 0.0f ? small : 1.0f) / (1.0f + small);
}

KERNEL sigmoid_forward(const float *x, u32 n, float *y) {
    EACH(i, n)
    y[i] = sigmoid(x[i]);
}

KERNEL sigmoid_backward(const float *y, u32 n, float *g) {
    EACH(i, n)
    g[i] *= y[i] * (1.0f - y[i]);
}

KERNEL tanh_forward(const float *x, u32 n, float *y) {
    EACH(i, n)
    y[i] = tanhf(x[i]);
}

KERNEL tanh_backward(const float *y, u32 n, float *g) {
    EACH(i, n)
    g[i] *= 1.0f - y[i] * y[i];
}

KERNEL product(const float *a, const float *b, u32 n, float *y) {
    EACH(i, n)
    y[i] = a[i] * b[i];
}

// `ln(sum(exp(x)))` of a row, by one block.
static __device__ double log_sum_exp(const float *x, u32 width) {
    double top = (double)NEGATIVE_INFINITY;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) top = fmax(top, (double)x[k]);
    top = block_max(top);
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) sum += exp((double)x[k] - top);
    return top + log(block_sum(sum));
}

// One block for each row.
KERNEL softmax_forward(const float *x, u32 width, u32 logarithm, float *y) {
    size_t row = (size_t)blockIdx.x * width;
    double norm = log_sum_exp(x + row, width);
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) {
        double v = (double)x[row + k] - norm;
        y[row + k] = (float)(logarithm ? v : exp(v));
    }
}

KERNEL softmax_backward(const float *y, u32 width, float *g) {
    size_t row = (size_t)blockIdx.x * width;
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) sum += (double)y[row + k] * (double)g[row + k];
    sum = block_sum(sum);
    for (u32 k = threadIdx.x; k < width; k += blockDim.x)
        g[row + k] = (float)((double)y[row + k] * ((double)g[row + k] - sum));
}

KERNEL log_softmax_backward(const float *y, u32 width, float *g) {
    size_t row = (size_t)blockIdx.x * width;
    double sum = 0.0;
    for (u32 k = threadIdx.x; k < width; k += blockDim.x) sum += (double)g[row + k];
    sum = block_sum(sum);
    for (u32 k = threadIdx.x; k < width; k += blockDim.x)
        g[row + k] = (float)((double)g[row + k] - exp((double)y[row + k]) * sum);
}
