// Convolutions by their definition, for groups and whatever cuDNN has no deterministic algorithm for; layouts and padding
// for those that it has. Weights are (outputs, inputs / groups, rows, columns).

struct Convolution {
    u32 samples, height, width, inputs, outputs, rows, columns;
    u32 kernel_rows, kernel_columns, row_stride, column_stride, row_dilation, column_dilation, top, left, groups;
};

// The position that output position `o` sees with tap `t`; beyond the axis where it sees padding.
static __device__ u32 source(u32 o, u32 t, u32 stride, u32 dilation, u32 before) {
    return o * stride + t * dilation - before;
}

// The output position that sees position `p` with tap `t`; 0xffffffff where there is none.
static __device__ u32 seen_by(u32 p, u32 t, u32 stride, u32 dilation, u32 before, u32 outputs) {
    u32 at = p + before;
    if (at < t * dilation) return 0xffffffffu;
    at -= t * dilation;
    return at % stride == 0 && at / stride < outputs ? at / stride : 0xffffffffu;
}

KERNEL direct_forward(const float *x, const float *weight, u32 n, Convolution v, float *y) {
    EACH(i, n)
    u32 o = i % v.outputs, c = i / v.outputs % v.columns, r = i / v.outputs / v.columns % v.rows;
    u32 sample = i / v.outputs / v.columns / v.rows;
    u32 inputs = v.inputs / v.groups, first = o / (v.outputs / v.groups) * inputs;
    u32 taps = v.kernel_rows * v.kernel_columns;
    weight += (size_t)o * inputs * taps;
    float sum = 0.0f;
    for (u32 a = 0; a < v.kernel_rows; a++) {
        u32 row = source(r, a, v.row_stride, v.row_dilation, v.top);
        if (row >= v.height) continue;
        for (u32 b = 0; b < v.kernel_columns; b++) {
            u32 column = source(c, b, v.column_stride, v.column_dilation, v.left);
            if (column >= v.width) continue;
            const float *pixel = x + (((size_t)sample * v.height + row) * v.width + column) * v.inputs + first;
            for (u32 k = 0; k < inputs; k++) sum += pixel[k] * weight[k * taps + a * v.kernel_columns + b];
        }
    }
    y[i] = sum;
}

KERNEL direct_input_gradient(const float *dy, const float *weight, u32 n, Convolution v, float *dx) {
    EACH(i, n)
    u32 k = i % v.inputs, c = i / v.inputs % v.width, r = i / v.inputs / v.width % v.height;
    u32 sample = i / v.inputs / v.width / v.height;
    u32 inputs = v.inputs / v.groups, outputs = v.outputs / v.groups, first = k / inputs * outputs;
    u32 taps = v.kernel_rows * v.kernel_columns;
    float sum = 0.0f;
    for (u32 a = 0; a < v.kernel_rows; a++) {
        u32 row = seen_by(r, a, v.row_stride, v.row_dilation, v.top, v.rows);
        if (row >= v.rows) continue;
        for (u32 b = 0; b < v.kernel_columns; b++) {
            u32 column = seen_by(c, b, v.column_stride, v.column_dilation, v.left, v.columns);
            if (column >= v.columns) continue;
            const float *pixel = dy + (((size_t)sample * v.rows + row) * v.columns + column) * v.outputs;
            for (u32 o = first; o < first + outputs; o++)
                sum += pixel[o] * weight[((size_t)o * inputs + k % inputs) * taps + a * v.kernel_columns + b];
        }
    }
    dx[i] = sum;
}

// One block for each number of the weight.
KERNEL direct_weight_gradient(const float *x, const float *dy, Convolution v, float *dw) {
    u32 inputs = v.inputs / v.groups, b = blockIdx.x % v.kernel_columns;
    u32 a = blockIdx.x / v.kernel_columns % v.kernel_rows, k = blockIdx.x / v.kernel_columns / v.kernel_rows % inputs;
    u32 o = blockIdx.x / v.kernel_columns / v.kernel_rows / inputs;
    u32 channel = o / (v.outputs / v.groups) * inputs + k;
    double sum = 0.0;
    for (u32 j = threadIdx.x; j < v.samples * v.rows * v.columns; j += blockDim.x) {
        u32 row = source(j / v.columns % v.rows, a, v.row_stride, v.row_dilation, v.top);
        u32 column = source(j % v.columns, b, v.column_stride, v.column_dilation, v.left);
        if (row >= v.height || column >= v.width) continue;
        size_t at = (((size_t)(j / v.columns / v.rows) * v.height + row) * v.width + column) * v.inputs + channel;
        sum += (double)(x[at] * dy[(size_t)j * v.outputs + o]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) dw[blockIdx.x] = (float)sum;
}

// Of a depth-wise convolution: sums over pieces of positions, (piece, tap, channel).
KERNEL depthwise_weight_sums(const float *x, const float *dy, Convolution v, u32 piece, double *parts) {
    u32 k = blockIdx.x * TILE + threadIdx.x, a = blockIdx.z / v.kernel_columns, b = blockIdx.z % v.kernel_columns;
    double sum = 0.0;
    if (k < v.inputs) {
        u32 end = lesser(v.samples * v.rows * v.columns, (blockIdx.y + 1) * piece);
        u32 j = blockIdx.y * piece + threadIdx.y;
        while (j < end) {
            float inner = 0.0f;
            for (u32 t = 0; t < INNER && j < end; t++, j += LINES) {
                u32 row = source(j / v.columns % v.rows, a, v.row_stride, v.row_dilation, v.top);
                u32 column = source(j % v.columns, b, v.column_stride, v.column_dilation, v.left);
                if (row >= v.height || column >= v.width) continue;
                size_t at = (((size_t)(j / v.columns / v.rows) * v.height + row) * v.width + column) * v.inputs + k;
                inner += x[at] * dy[(size_t)j * v.inputs + k];
            }
            sum += inner;
        }
    }
    sum = line_sum(sum);
    if (threadIdx.y == 0 && k < v.inputs)
        parts[((size_t)blockIdx.y * v.kernel_rows * v.kernel_columns + blockIdx.z) * v.inputs + k] = sum;
}

KERNEL depthwise_weight_totals(const double *parts, u32 count, u32 channels, u32 taps, float *dw) {
    EACH(i, channels * taps)
    u32 k = i % channels, tap = i / channels;
    double sum = 0.0;
    for (u32 piece = 0; piece < count; piece++) sum += parts[((size_t)piece * taps + tap) * channels + k];
    dw[k * taps + tap] = (float)sum;
}

// (outputs, inputs, taps) to (outputs, taps, inputs).
KERNEL taps_outside(const float *weight, u32 n, u32 inputs, u32 taps, float *out) {
    EACH(i, n)
    u32 k = i % inputs, tap = i / inputs % taps, o = i / inputs / taps;
    out[i] = weight[((size_t)o * inputs + k) * taps + tap];
}

// (outputs, taps, inputs) to (outputs, inputs, taps).
KERNEL taps_inside(const float *weight, u32 n, u32 inputs, u32 taps, float *out) {
    EACH(i, n)
    u32 tap = i % taps, k = i / taps % inputs, o = i / taps / inputs;
    out[i] = weight[((size_t)o * taps + tap) * inputs + k];
}

// Puts an image at (top, left) of a larger one of zeros.
KERNEL pad_image(const float *x, u32 n, u32 height, u32 width, u32 channels, u32 rows, u32 columns, u32 top, u32 left,
                 float *y) {
    EACH(i, n)
    u32 k = i % channels, c = i / channels % columns - left, r = i / channels / columns % rows - top;
    u32 sample = i / channels / columns / rows;
    y[i] = r < height && c < width ? x[(((size_t)sample * height + r) * width + c) * channels + k] : 0.0f;
}

// Takes an image out of a larger one.
KERNEL crop_image(const float *y, u32 n, u32 height, u32 width, u32 channels, u32 rows, u32 columns, u32 top, u32 left,
                  float *x) {
    EACH(i, n)
    u32 k = i % channels, c = i / channels % width + left, r = i / channels / width % height + top;
    u32 sample = i / channels / width / height;
    x[i] = y[(((size_t)sample * rows + r) * columns + c) * channels + k];
}
