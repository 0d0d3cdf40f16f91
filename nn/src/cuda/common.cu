// What all kernels share. Sizes are below 2^31; images have their channels innermost.
//
// Sums have a fixed order: no kernel adds floating-point numbers atomically. `KERNEL` begins a line for each kernel: the
// names are read from this text.

typedef unsigned int u32;
typedef unsigned char u8;

#define KERNEL extern "C" __global__ void
// The position of a thread of a kernel with one thread for each of `n` numbers.
#define EACH(i, n)                                    \
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;    \
    if (i >= (n)) return;
// Most threads of a block that works on a row, and the sides of one that works on columns.
#define THREADS 256
#define TILE 32
#define LINES 8
// Terms added in f32 before they are added in f64.
#define INNER 32
#define NEGATIVE_INFINITY (-__int_as_float(0x7f800000))

static __device__ u32 lesser(u32 a, u32 b) { return a < b ? a : b; }

// The sum over the threads of a block, a power of two in one row; every thread gets it.
static __device__ double block_sum(double value) {
    __shared__ double parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}

// The maximum over the threads of a block; NaN is passed over.
static __device__ double block_max(double value) {
    __shared__ double parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] = fmax(parts[threadIdx.x], parts[threadIdx.x + half]);
        __syncthreads();
    }
    return parts[0];
}

// The sum over the lines of a block of TILE columns and LINES lines; the threads of line 0 get it.
static __device__ double line_sum(double value) {
    __shared__ double parts[LINES][TILE + 1];
    __syncthreads();
    parts[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    double sum = 0.0;
    if (threadIdx.y == 0)
        for (u32 line = 0; line < LINES; line++) sum += parts[line][threadIdx.x];
    return sum;
}

// Sums of `count` rows of partial sums, `columns` each, that start at column `start` of rows of `stride`; see `line_sum`.
static __device__ double column_of_parts(const double *parts, u32 count, u32 stride, u32 column) {
    double sum = 0.0;
    if (column < stride)
        for (u32 k = threadIdx.y; k < count; k += LINES) sum += parts[(size_t)k * stride + column];
    return line_sum(sum);
}

// Column sums of pieces of `piece` rows, one row of `parts` for each.
KERNEL column_sums(const float *x, u32 rows, u32 columns, u32 piece, double *parts) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    double sum = 0.0;
    if (c < columns) {
        u32 end = lesser(rows, (blockIdx.y + 1) * piece);
        u32 r = blockIdx.y * piece + threadIdx.y;
        while (r < end) {
            float inner = 0.0f;
            for (u32 k = 0; k < INNER && r < end; k++, r += LINES) inner += x[(size_t)r * columns + c];
            sum += inner;
        }
    }
    sum = line_sum(sum);
    if (threadIdx.y == 0 && c < columns) parts[(size_t)blockIdx.y * columns + c] = sum;
}

// Sums of the columns of `parts`.
KERNEL column_totals(const double *parts, u32 count, u32 columns, float *y) {
    u32 c = blockIdx.x * TILE + threadIdx.x;
    double sum = column_of_parts(parts, count, columns, c);
    if (threadIdx.y == 0 && c < columns) y[c] = (float)sum;
}

// `y = factor * sum(parts)`, in one block.
KERNEL total(const double *parts, u32 count, double factor, float *y) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[0] = (float)(factor * sum);
}

// `y = sum(x)`, in one block.
KERNEL sum(const float *x, u32 n, float *y) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[0] = (float)sum;
}
