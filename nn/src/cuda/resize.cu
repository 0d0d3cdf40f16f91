// Bilinear resizing.

// Between which two positions of `length` position `i` of `size` lies, and the share of the second.
static __device__ float between(u32 i, u32 length, u32 size, u32 *low, u32 *high) {
    double at = ((double)i + 0.5) * (double)length / (double)size - 0.5;
    at = at < 0.0 ? 0.0 : at;
    *low = lesser((u32)at, length - 1);
    *high = lesser(*low + 1, length - 1);
    return (float)(at - (double)*low);
}

KERNEL resize_forward(const float *x, u32 n, u32 height, u32 width, u32 channels, u32 rows, u32 columns, float *y) {
    EACH(i, n)
    u32 k = i % channels, c = i / channels % columns, r = i / channels / columns % rows;
    u32 top, bottom, left, right;
    float down = between(r, height, rows, &top, &bottom), along = between(c, width, columns, &left, &right);
    x += (size_t)(i / channels / columns / rows) * height * width * channels + k;
    float a = x[((size_t)top * width + left) * channels], b = x[((size_t)top * width + right) * channels];
    float d = x[((size_t)bottom * width + left) * channels], e = x[((size_t)bottom * width + right) * channels];
    y[i] = (1.0f - down) * ((1.0f - along) * a + along * b) + down * ((1.0f - along) * d + along * e);
}

// The positions of `size` that may lie beside position `p` of `length`: the first and the one behind the last.
static __device__ void beside(u32 p, u32 length, u32 size, u32 *first, u32 *behind) {
    double scale = (double)size / (double)length;
    double low = ((double)p - 0.5) * scale - 1.5, high = ((double)p + 1.5) * scale + 1.5;
    *first = p == 0 || low < 0.0 ? 0 : (u32)low;
    *behind = p == length - 1 ? size : lesser(size, (u32)high + 1);
}

// How much position `p` gives to position `i`.
static __device__ float weight_of(u32 p, u32 i, u32 length, u32 size) {
    u32 low, high;
    float share = between(i, length, size, &low, &high);
    return (low == p ? 1.0f - share : 0.0f) + (high == p ? share : 0.0f);
}

KERNEL resize_backward(const float *dy, u32 n, u32 height, u32 width, u32 channels, u32 rows, u32 columns, float *dx) {
    EACH(i, n)
    u32 k = i % channels, column = i / channels % width, row = i / channels / width % height;
    dy += (size_t)(i / channels / width / height) * rows * columns * channels + k;
    u32 first_row, behind_row, first_column, behind_column;
    beside(row, height, rows, &first_row, &behind_row);
    beside(column, width, columns, &first_column, &behind_column);
    float sum = 0.0f;
    for (u32 r = first_row; r < behind_row; r++) {
        float down = weight_of(row, r, height, rows);
        if (down == 0.0f) continue;
        for (u32 c = first_column; c < behind_column; c++)
            sum += down * weight_of(column, c, width, columns) * dy[((size_t)r * columns + c) * channels];
    }
    dx[i] = sum;
}
