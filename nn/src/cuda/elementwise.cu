// Sums and products of tensors.

KERNEL accumulate(float *sum, const float *x, u32 n) {
    EACH(i, n)
    sum[i] += x[i];
}

KERNEL add_forward(const float *a, const float *b, u32 n, u32 relu, float *y) {
    EACH(i, n)
    float v = a[i] + b[i];
    y[i] = relu && v < 0.0f ? 0.0f : v;
}

KERNEL bias_forward(const float *x, const float *bias, u32 n, u32 channels, float *y) {
    EACH(i, n)
    y[i] = x[i] + bias[i % channels];
}

// The number of the map that belongs to number `i` of the image; the map's sizes are the image's or 1.
static __device__ u32 in_map(u32 i, u32 height, u32 width, u32 channels, u32 rows, u32 columns, u32 depth) {
    u32 k = i % channels, c = i / channels % width, r = i / channels / width % height;
    u32 sample = i / channels / width / height;
    k = depth == 1 ? 0 : k;
    c = columns == 1 ? 0 : c;
    r = rows == 1 ? 0 : r;
    return ((sample * rows + r) * columns + c) * depth + k;
}

KERNEL multiply(const float *x, const float *map, u32 n, u32 height, u32 width, u32 channels, u32 rows, u32 columns,
                u32 depth, float *y) {
    EACH(i, n)
    y[i] = x[i] * map[in_map(i, height, width, channels, rows, columns, depth)];
}

// One block for each number of the map: the sum of `x dy` over what it was multiplied with.
KERNEL multiply_map_gradient(const float *x, const float *dy, u32 height, u32 width, u32 channels, u32 rows,
                             u32 columns, u32 depth, float *dmap) {
    u32 k = blockIdx.x % depth, c = blockIdx.x / depth % columns, r = blockIdx.x / depth / columns % rows;
    u32 sample = blockIdx.x / depth / columns / rows;
    u32 many_rows = rows == 1 ? height : 1, many_columns = columns == 1 ? width : 1;
    u32 many_channels = depth == 1 ? channels : 1;
    double sum = 0.0;
    for (u32 j = threadIdx.x; j < many_rows * many_columns * many_channels; j += blockDim.x) {
        u32 channel = k + j % many_channels, column = c + j / many_channels % many_columns;
        u32 row = r + j / many_channels / many_columns;
        size_t at = (((size_t)sample * height + row) * width + column) * channels + channel;
        sum += (double)(x[at] * dy[at]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) dmap[blockIdx.x] = (float)sum;
}
