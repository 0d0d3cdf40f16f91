// Pooling over windows of any size.
//
// A table of windows along an axis has, for each window, its start, its end and what it counts in a divisor; behind them,
// for each position of the axis, the first window that sees it and the one behind the last.

struct Windows {
    u32 height, width, channels, rows, columns;
};

static __device__ size_t pixel(const Windows w, u32 sample, u32 r, u32 c, u32 k) {
    return (((size_t)sample * w.height + r) * w.width + c) * w.channels + k;
}

// Maxima of windows and where in the image each was found first.
KERNEL window_max_forward(const float *x, u32 n, Windows w, const u32 *row_table, const u32 *column_table, float *y) {
    EACH(i, n)
    u32 k = i % w.channels, c = i / w.channels % w.columns, r = i / w.channels / w.columns % w.rows;
    u32 sample = i / w.channels / w.columns / w.rows;
    float best = NEGATIVE_INFINITY;
    for (u32 a = row_table[3 * r]; a < row_table[3 * r + 1]; a++)
        for (u32 b = column_table[3 * c]; b < column_table[3 * c + 1]; b++) {
            float v = x[pixel(w, sample, a, b, k)];
            // A NaN must not be hidden by a comparison that is false.
            if (v > best || isnan(v)) best = v;
        }
    y[i] = best;
}

// The place of the first number that equals the maximum; none for a NaN.
KERNEL window_max_place(const float *x, const float *y, u32 n, Windows w, const u32 *row_table,
                        const u32 *column_table, u32 *place) {
    EACH(i, n)
    u32 k = i % w.channels, c = i / w.channels % w.columns, r = i / w.channels / w.columns % w.rows;
    u32 sample = i / w.channels / w.columns / w.rows, found = 0xffffffffu;
    for (u32 a = row_table[3 * r]; a < row_table[3 * r + 1] && found == 0xffffffffu; a++)
        for (u32 b = column_table[3 * c]; b < column_table[3 * c + 1]; b++)
            if (x[pixel(w, sample, a, b, k)] == y[i]) {
                found = a * w.width + b;
                break;
            }
    place[i] = found;
}

KERNEL window_max_backward(const float *dy, const u32 *place, u32 n, Windows w, const u32 *row_table,
                           const u32 *column_table, float *dx) {
    EACH(i, n)
    u32 k = i % w.channels, c = i / w.channels % w.width, r = i / w.channels / w.width % w.height;
    u32 sample = i / w.channels / w.width / w.height;
    const u32 *seen_row = row_table + 3 * w.rows + 2 * r, *seen_column = column_table + 3 * w.columns + 2 * c;
    float sum = 0.0f;
    for (u32 a = seen_row[0]; a < seen_row[1]; a++)
        for (u32 b = seen_column[0]; b < seen_column[1]; b++) {
            size_t at = (((size_t)sample * w.rows + a) * w.columns + b) * w.channels + k;
            if (place[at] == r * w.width + c) sum += dy[at];
        }
    dx[i] = sum;
}

static __device__ float share(const u32 *row_table, const u32 *column_table, u32 r, u32 c) {
    return 1.0f / (float)(row_table[3 * r + 2] * column_table[3 * c + 2]);
}

KERNEL window_average_forward(const float *x, u32 n, Windows w, const u32 *row_table, const u32 *column_table,
                              float *y) {
    EACH(i, n)
    u32 k = i % w.channels, c = i / w.channels % w.columns, r = i / w.channels / w.columns % w.rows;
    u32 sample = i / w.channels / w.columns / w.rows;
    double sum = 0.0;
    for (u32 a = row_table[3 * r]; a < row_table[3 * r + 1]; a++) {
        float line = 0.0f;
        for (u32 b = column_table[3 * c]; b < column_table[3 * c + 1]; b++) line += x[pixel(w, sample, a, b, k)];
        sum += line;
    }
    y[i] = (float)sum * share(row_table, column_table, r, c);
}

KERNEL window_average_backward(const float *dy, u32 n, Windows w, const u32 *row_table, const u32 *column_table,
                               float *dx) {
    EACH(i, n)
    u32 k = i % w.channels, c = i / w.channels % w.width, r = i / w.channels / w.width % w.height;
    u32 sample = i / w.channels / w.width / w.height;
    const u32 *seen_row = row_table + 3 * w.rows + 2 * r, *seen_column = column_table + 3 * w.columns + 2 * c;
    float sum = 0.0f;
    for (u32 a = seen_row[0]; a < seen_row[1]; a++)
        for (u32 b = seen_column[0]; b < seen_column[1]; b++) {
            size_t at = (((size_t)sample * w.rows + a) * w.columns + b) * w.channels + k;
            sum += dy[at] * share(row_table, column_table, a, b);
        }
    dx[i] = sum;
}
