// The live trumpet: one voice in, one trumpet out, sample by sample.
//
// Chapter 06d_live explains each stage and holds this file to the readable form of it. The file needs no library: clang
// compiles it to engine.wasm (see .ci/engine.py), which Python and browsers run, and it compiles as well for a plug-in.
// All memory is static. Everything happens 100 times a second, when 160 samples at 16 kHz are complete; what is then
// rendered lasts until the next time, so the sound does not depend on the size of the blocks in which it is asked for.

#define EXPORT extern "C" __attribute__((visibility("default")))
typedef float f4 __attribute__((vector_size(16)));
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// ---------------------------------------------------------------------------------------------------- mathematics

static const double pi = 3.14159265358979323846;
template <class T> static T least(T a, T b) { return a < b ? a : b; }
template <class T> static T most(T a, T b) { return a > b ? a : b; }
template <class T> static T within(T x, T low, T high) { return least(most(x, low), high); }
static f4 load4(const float* p) { f4 v; __builtin_memcpy(&v, p, 16); return v; }
static void store4(float* p, f4 v) { __builtin_memcpy(p, &v, 16); }
static double root(double x) { return __builtin_sqrt(x); }

static const double inverse[] = {0, 1, 1/2., 1/3., 1/4., 1/5., 1/6., 1/7., 1/8., 1/9.,
                                 1/10., 1/11., 1/12., 1/13., 1/14., 1/15., 1/16., 1/17.};

static double exp_(double x) {
    x = within(x, -700., 700.);
    double n = __builtin_floor(x*1.4426950408889634 + .5), r = x - n*.6931471805599453, y = 1;
    for (int k = 11; k > 0; k--) y = 1 + y*r*inverse[k];
    u64 bits = u64(1023 + (long long)n) << 52;
    double power;
    __builtin_memcpy(&power, &bits, 8);
    return y*power;
}
static double log_(double x) {
    u64 bits;
    __builtin_memcpy(&bits, &x, 8);
    int n = int(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
    __builtin_memcpy(&x, &bits, 8);
    if (x > 1.4142135623730951) { x /= 2; n++; }
    double s = (x - 1)/(x + 1), s2 = s*s, y = 0;
    for (int k = 17; k > 0; k -= 2) y = y*s2 + inverse[k];
    return 2*s*y + n*.6931471805599453;
}
static double exp2_(double x) { return exp_(x*.6931471805599453); }
static double log2_(double x) { return log_(x)*1.4426950408889634; }
static double to_db(double power) { return 4.342944819032518*log_(power); }
static double amplitude(double db) { return exp_(db*.11512925464970229); }
static double sigmoid(double x) { return 1/(1 + exp_(-x)); }
static double tanh_(double x) { return 2*sigmoid(2*x) - 1; }
static double sine(double turns) { // sin(2 pi turns)
    turns -= __builtin_floor(turns + .5);
    if (turns > .25) turns = .5 - turns;
    if (turns < -.25) turns = -.5 - turns;
    double x = 2*pi*turns, x2 = x*x, y = 1;
    for (int k = 17; k > 1; k -= 2) y = 1 - y*x2*(inverse[k]*inverse[k-1]);
    return x*y;
}
static double cosine(double turns) { return sine(turns + .25); }

template <int n> static void clear(float (&x)[n]) { for (float& v : x) v = 0; }

// one Fourier transform for all: complex, in place, n a power of two up to 16384
static const int fft_most = 16384;
static float turn_re[fft_most/2], turn_im[fft_most/2];
static void fft(float* re, float* im, int n, bool inverse = false) {
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            float a = re[i], b = im[i];
            re[i] = re[j]; im[i] = im[j];
            re[j] = a; im[j] = b;
        }
    }
    for (int half = 1; half < n; half *= 2) {
        int step = fft_most/(2*half);
        for (int first = 0; first < n; first += 2*half) for (int k = 0; k < half; k++) {
            float c = turn_re[k*step], s = inverse ? -turn_im[k*step] : turn_im[k*step];
            float *r0 = re + first + k, *i0 = im + first + k, *r1 = r0 + half, *i1 = i0 + half;
            float a = *r1*c - *i1*s, b = *r1*s + *i1*c;
            *r1 = *r0 - a; *i1 = *i0 - b;
            *r0 += a; *i0 += b;
        }
    }
}

// four short transforms at once: n points in the order of `reversed`, n = 128 or 256; two halvings in each pass
static float turn256_re[128], turn256_im[128];
static unsigned char reversed128[128], reversed256[256];
static void fft4(f4* re, f4* im, int n) {
    int h = 1;
    if (n == 128) {
        for (int i = 0; i < n; i += 2) {
            f4 a = re[i + 1], b = im[i + 1];
            re[i + 1] = re[i] - a; im[i + 1] = im[i] - b;
            re[i] += a; im[i] += b;
        }
        h = 2;
    }
    for (; h < n; h *= 4) for (int k = 0; k < h; k++) {
        float c1 = turn256_re[128/h*k], s1 = turn256_im[128/h*k], c2 = turn256_re[64/h*k], s2 = turn256_im[64/h*k];
        for (int first = k; first < n; first += 4*h) {
            f4 *r = re + first, *i = im + first;
            f4 ar = r[h]*c1 - i[h]*s1, ai = r[h]*s1 + i[h]*c1, br = r[3*h]*c1 - i[3*h]*s1, bi = r[3*h]*s1 + i[3*h]*c1;
            f4 cr = r[0] + ar, ci = i[0] + ai, dr = r[0] - ar, di = i[0] - ai;
            f4 er = r[2*h] + br, ei = i[2*h] + bi, fr = r[2*h] - br, fi = i[2*h] - bi;
            f4 gr = er*c2 - ei*s2, gi = er*s2 + ei*c2, hr = fr*s2 + fi*c2, hi = fi*s2 - fr*c2;
            r[0] = cr + gr; i[0] = ci + gi; r[2*h] = cr - gr; i[2*h] = ci - gi;
            r[h] = dr + hr; i[h] = di + hi; r[3*h] = dr - hr; i[3*h] = di - hi;
        }
    }
}

// ------------------------------------------------------------------------------------------- matrices and weights

// y[r][c] = sum over k of x[r*stride + k] w[k][c]; columns a multiple of 16, rows of 4; x is 0 outside first … last
static void product(const float* x, int rows, int stride, const float* w, int K, int columns, float* y, int first, int last) {
    for (int r = 0; r < rows; r += 4) for (int c = 0; c < columns; c += 16) {
        int begin = most(0, first - (r + 3)*stride), end = least(K, last - r*stride);
        f4 a[4][4] = {};
        const float *x0 = x + r*stride, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
        const float* q = w + begin*columns + c;
        for (int k = begin; k < end; k++, q += columns) {
            f4 w0 = load4(q), w1 = load4(q + 4), w2 = load4(q + 8), w3 = load4(q + 12);
            float s0 = x0[k], s1 = x1[k], s2 = x2[k], s3 = x3[k];
            a[0][0] += w0*s0; a[0][1] += w1*s0; a[0][2] += w2*s0; a[0][3] += w3*s0;
            a[1][0] += w0*s1; a[1][1] += w1*s1; a[1][2] += w2*s1; a[1][3] += w3*s1;
            a[2][0] += w0*s2; a[2][1] += w1*s2; a[2][2] += w2*s2; a[2][3] += w3*s2;
            a[3][0] += w0*s3; a[3][1] += w1*s3; a[3][2] += w2*s3; a[3][3] += w3*s3;
        }
        for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) store4(y + (r + i)*columns + c + 4*j, a[i][j]);
    }
}
// y[c] = b[c] + sum over k of x[k] w[k][c]; w in tiles of 16 columns
static void affine(const float* x, const float* w, const float* b, int K, int columns, float* y) {
    for (int c = 0; c < columns; c += 16) {
        f4 a[4];
        for (int j = 0; j < 4; j++) a[j] = b ? load4(b + c + 4*j) : f4{};
        const float* q = w + c*K;
        for (int k = 0; k < K; k++, q += 16) for (int j = 0; j < 4; j++) a[j] += load4(q + 4*j)*x[k];
        for (int j = 0; j < 4; j++) store4(y + c + 4*j, a[j]);
    }
}

static const int file_most = 12 << 20, arena_most = 6 << 20, hidden_most = 512, layers_most = 3;
static const int partials_most = 128, bands_most = 129, styles_most = 64, room_most = 16384;
static const int drawn_most = 200, top_bands = 10; // partials from 100 Hz to 20 kHz; bands above 8 kHz
alignas(16) static unsigned char file[file_most]; // written by the host
alignas(16) static float arena[arena_most];       // weights as float32
static int used;

static float* take(int n) { // room for n numbers
    float* p = arena + used;
    used += (n + 3) & ~3;
    return p;
}
static float half(u16 h) {
    u32 sign = u32(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    if (!exponent) { float x = float(fraction)/16777216; return sign ? -x : x; }
    bits = sign | (exponent + 112) << 23 | fraction << 13;
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

// the file: whole numbers, real numbers, tables in float32, tensors in half precision, JSON for the host
enum { magic = 0x32763276 };
struct Sizes { int magic, bytes, reals, halves, hidden, layers, partials, bands, styles, style, room, top, spare[4]; };
struct Reals { // written by `export_engine`, from the package's own constants
    float first_cent, cents_per_bin, eps, comb_weight, comb_low, comb_high, fit_a, fit_b, fit_c, low, high;
    float range_low, range_high, loud10, loud50, loud90, loud99, floor_db, top_edges[top_bands + 1], low_centres[3];
};
static Sizes sizes;
static Reals reals;

struct Layer { int taps, inputs, rows, outputs; const float *w, *b, *scale, *offset; };
static Layer convolution[6] = {{512, 4, 256, 128}, {64, 128, 128, 16}, {64, 16, 64, 16},
                               {64, 16, 32, 16}, {64, 16, 16, 32}, {64, 32, 8, 64}};
struct Gru { const float *wi, *bi, *wh, *bh; };
static Gru gru[layers_most];
static const float *classifier_w, *classifier_b, *out_w, *out_b, *room_weights, *tone_w, *tone_b, *air_w, *air_b;
static const float *level_weight, *level_weight_short, *partial_weight, *noise_power; // tables: 257, 129, 4097, bands x bands
static const u16* next_half;

static const float* tensor(int n) {
    float* p = take(n);
    for (int i = 0; i < n; i++) p[i] = half(*next_half++);
    return p;
}
static int padded(int n) { return (n + 15) & ~15; }
static const float* tiles(int K, int columns) { // of a matrix: 16 columns of all rows, then the next 16
    float* p = take(K*columns);
    for (int k = 0; k < K; k++) for (int c = 0; c < columns; c++) p[(c/16*K + k)*16 + c%16] = half(*next_half++);
    return p;
}

// ------------------------------------------------------------------------------------- hearing: pitch and loudness

static const int window = 1024, heard = 768, hop = 160, bins = 360, columns = 368; // bins, padded to a multiple of 16
static float recent[window];            // the newest samples at 16 kHz
static float hann_window[window], hann_level[512];
static float posterior[columns], salience[columns], evidence[columns], bin_hz[columns];
static float* comb; static int comb_first, comb_rows;
static float work_re[fft_most], work_im[fft_most];
alignas(16) static float padded_window[254 + window + 258], maps[64*16], layer_in[6][(64 + 64)*32];
static float pitch, periodicity, level; // what was heard: Hz, 0…1, dB

static void make_combs() {
    static const int primes[] = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    const double step = 16000./2048;
    comb_first = int(reals.comb_low/step) + 1;
    comb_rows = int(most(reals.comb_high, 4*reals.high)/step) + 1 - comb_first;
    comb = take(comb_rows*columns);
    for (int p = 0; p < columns; p++) {
        double norm = 0;
        bin_hz[p] = p < bins ? 10*exp2_((reals.first_cent + double(reals.cents_per_bin)*p)/1200) : 0;
        double hz = 10*exp2_((double(reals.first_cent) + double(reals.cents_per_bin)*p)/1200);
        for (int r = 0; r < comb_rows; r++) {
            double f = (comb_first + r)*step, ratio = f/hz, tooth = 0;
            for (int prime : primes) {
                double distance = __builtin_fabs(ratio - prime);
                tooth += distance < .25 ? 1 : distance < .75 ? .5 : 0;
            }
            bool has = p < bins && tooth && f > reals.comb_low && f < most(reals.comb_high, float(4*hz));
            tooth = has ? tooth*cosine(ratio)/root(f) : 0;
            comb[(p/16*comb_rows + r)*16 + p%16] = tooth;
            norm += tooth > 0 ? tooth*tooth : 0;
        }
        for (int r = 0; r < comb_rows && norm > 0; r++) comb[(p/16*comb_rows + r)*16 + p%16] /= root(norm);
    }
}

// The first two layers have nearly all of CREPE's products. A long filter is a product of spectra, and two halves of the
// rows are transformed as the real and the imaginary part of one signal, so that nothing has to be taken apart.
static const int bins1 = 129, bins2 = 65;
static float *spectra1, *spectra2; // of the filters: [channels/4][bins][4 phases][re, im][4], [bins][channels in][out/4][re, im][4]
alignas(16) static f4 line_re[256], line_im[256];
alignas(16) static float phases_re[256][4], phases_im[256][4], rows_re[128][128], rows_im[128][128];
alignas(16) static f4 input2[128/4][128 + 64 + 1]; // of the second layer, 31 zeros before and 33 after

static void make_spectra() {
    const Layer &a = convolution[0], &b = convolution[1];
    spectra1 = take(128*bins1*8);
    spectra2 = take(bins2*128*16*2);
    for (int q = 0; q < 32; q++) for (int p = 0; p < 4; p++) { // every fourth tap
        for (int t = 0; t < 256; t++) {
            line_re[reversed256[t]] = t < 128 ? load4(a.w + (4*t + p)*128 + 4*q)/256 : f4{};
            line_im[reversed256[t]] = f4{};
        }
        fft4(line_re, line_im, 256);
        for (int f = 0; f < bins1; f++) {
            store4(spectra1 + ((q*bins1 + f)*4 + p)*8, line_re[f]);
            store4(spectra1 + ((q*bins1 + f)*4 + p)*8 + 4, -line_im[f]);
        }
    }
    for (int c = 0; c < 128; c++) for (int o = 0; o < 16; o += 4) {
        for (int t = 0; t < 128; t++) {
            line_re[reversed128[t]] = t < 64 ? load4(b.w + (t*128 + c)*16 + o)/128 : f4{};
            line_im[reversed128[t]] = f4{};
        }
        fft4(line_re, line_im, 128);
        for (int f = 0; f < bins2; f++) {
            store4(spectra2 + (f*128 + c)*32 + 2*o, line_re[f]);
            store4(spectra2 + (f*128 + c)*32 + 2*o + 4, -line_im[f]);
        }
    }
}
static f4 pooled(f4 u, f4 v, const Layer& c, int n) { // what follows each convolution
    f4 zero = {}, b = load4(c.b + n), scale = load4(c.scale + n);
    u += b;
    v += b;
    u = (u > zero ? u : zero)*scale;
    v = (v > zero ? v : zero)*scale;
    return (u > v ? u : v) + load4(c.offset + n);
}
static void first_layer(const float* x) { // a window with 254 zeros before and 258 after it → input2
    for (int j = 0; j < 256; j++) {
        line_re[reversed256[j]] = load4(x + 4*j);
        line_im[reversed256[j]] = load4(x + 512 + 4*j);
    }
    fft4(line_re, line_im, 256);
    for (int f = 0; f < 256; f++) { store4(phases_re[f], line_re[f]); store4(phases_im[f], line_im[f]); }
    for (int q = 0; q < 32; q++) {
        const float* v = spectra1 + q*bins1*32;
        for (int f = 0; f < bins1; f++, v += 32) {
            int g = (256 - f) & 255;
            f4 fr = {}, fi = {}, gr = {}, gi = {};
            for (int p = 0; p < 4; p++) {
                f4 r = load4(v + 8*p), i = load4(v + 8*p + 4);
                float xr = phases_re[f][p], xi = phases_im[f][p], yr = phases_re[g][p], yi = phases_im[g][p];
                fr += r*xr - i*xi; fi += i*xr + r*xi;
                gr += r*yr + i*yi; gi += r*yi - i*yr;
            }
            line_re[reversed256[f]] = fi; line_im[reversed256[f]] = fr; // parts changed: the transform back
            line_re[reversed256[g]] = gi; line_im[reversed256[g]] = gr;
        }
        fft4(line_re, line_im, 256);
        for (int j = 0; j < 64; j++) {
            input2[q][31 + j] = pooled(line_im[2*j], line_im[2*j + 1], convolution[0], 4*q);
            input2[q][95 + j] = pooled(line_re[2*j], line_re[2*j + 1], convolution[0], 4*q);
        }
    }
}
static void second_layer(float* to) { // input2 → 64 rows of 16
    for (int q = 0; q < 32; q++) {
        for (int j = 0; j < 128; j++) { line_re[reversed128[j]] = input2[q][j]; line_im[reversed128[j]] = input2[q][j + 64]; }
        fft4(line_re, line_im, 128);
        for (int f = 0; f < 128; f++) { store4(rows_re[f] + 4*q, line_re[f]); store4(rows_im[f] + 4*q, line_im[f]); }
    }
    static f4 out_re[4][128], out_im[4][128];
    for (int f = 0; f < bins2; f++) {
        int g = (128 - f) & 127, at = reversed128[f], ag = reversed128[g];
        for (int o = 0; o < 4; o += 2) {
            const float* v = spectra2 + f*128*32 + 8*o;
            f4 fr[2] = {}, fi[2] = {}, gr[2] = {}, gi[2] = {};
            for (int c = 0; c < 128; c++, v += 32) {
                float xr = rows_re[f][c], xi = rows_im[f][c], yr = rows_re[g][c], yi = rows_im[g][c];
                for (int j = 0; j < 2; j++) {
                    f4 r = load4(v + 8*j), i = load4(v + 8*j + 4);
                    fr[j] += r*xr - i*xi; fi[j] += i*xr + r*xi;
                    gr[j] += r*yr + i*yi; gi[j] += r*yi - i*yr;
                }
            }
            for (int j = 0; j < 2; j++) {
                out_re[o + j][at] = fi[j]; out_im[o + j][at] = fr[j];
                out_re[o + j][ag] = gi[j]; out_im[o + j][ag] = gr[j];
            }
        }
    }
    for (int q = 0; q < 4; q++) {
        fft4(out_re[q], out_im[q], 128);
        for (int j = 0; j < 32; j++) {
            store4(to + j*16 + 4*q, pooled(out_im[q][2*j], out_im[q][2*j + 1], convolution[1], 4*q));
            store4(to + (32 + j)*16 + 4*q, pooled(out_re[q][2*j], out_re[q][2*j + 1], convolution[1], 4*q));
        }
    }
}

static bool crepe(const float* x) { // a window of 1024 → posterior; false if it is silent
    double mean = 0, power = 0;
    for (int i = 0; i < window; i++) mean += x[i];
    mean /= window;
    for (int i = 0; i < window; i++) power += (x[i] - mean)*(x[i] - mean);
    double deviation = root(power/(window - 1));
    if (deviation <= 1e-5) {
        for (float& p : posterior) p = 0;
        return false;
    }
    for (int i = 0; i < window; i++) padded_window[254 + i] = (x[i] - mean)/deviation;
    first_layer(padded_window);
    second_layer(layer_in[1] + 31*16);
    const float* from = layer_in[1];
    for (int i = 2; i < 6; i++) {
        const Layer& c = convolution[i];
        int N = c.outputs, first = 31*c.inputs;
        product(from, c.rows, c.inputs, c.w, c.taps*c.inputs, N, maps, first, first + c.rows*c.inputs);
        float* to = layer_in[i] + (i < 5 ? 31*N : 0); // zeros on either side of the next layer's input
        for (int row = 0; row < c.rows/2; row++) for (int n = 0; n < N; n += 4)
            store4(to + row*N + n, pooled(load4(maps + 2*row*N + n), load4(maps + (2*row + 1)*N + n), c, n));
        from = layer_in[i];
    }
    affine(from, classifier_w, classifier_b, 256, columns, posterior);
    for (int p = 0; p < bins; p++) posterior[p] = sigmoid(posterior[p]);
    return true;
}

static void fit_combs(const float* x) { // a window of 1024 → salience
    for (int i = 0; i < 2048; i++) { work_re[i] = i < window ? x[i]*hann_window[i] : 0; work_im[i] = 0; }
    fft(work_re, work_im, 2048);
    double sum = 0;
    for (int i = 0; i <= 1024; i++) sum += work_re[i] = root(work_re[i]*work_re[i] + work_im[i]*work_im[i]);
    for (int i = 0; i <= 1024; i++) work_re[i] = root(work_re[i]/most(sum, 1e-9));
    affine(work_re + comb_first, comb, nullptr, comb_rows, columns, salience);
}

static double level_of(int n, const float* weight) { // A-weighted, of the newest n samples, dB
    for (int i = 0; i < n; i++) {
        work_re[i] = recent[window - n + i]*hann_level[i*(512/n)];
        work_im[i] = 0;
    }
    fft(work_re, work_im, n);
    double power = 0;
    for (int i = 0; i <= n/2; i++) {
        double re = work_re[i], im = work_im[i];
        power += weight[i]*(re*re + im*im);
    }
    return to_db(most(power, exp_(reals.floor_db*.23025850929940457)));
}
static void measure_level() { // the shorter window hears an attack sooner
    level = most(level_of(512, level_weight), level_of(256, level_weight_short));
}

// Of all paths of pitches up to this frame, the best one to each bin: a step of up to 80 cents is free, and a leap costs
// as much as two frames of clear evidence. Where nothing sounds, the past counts half as much with each frame.
static float path[bins];
static const float leap_cost = 8;
static const int free_step = 4; // bins
static void follow_path(bool open) {
    static float reached[bins];
    float best = -1e9;
    for (int p = 0; p < bins; p++) {
        float from = -leap_cost;
        for (int q = most(0, p - free_step); q <= least(bins - 1, p + free_step); q++) from = most(from, path[q]);
        reached[p] = evidence[p] + (open ? from : from/2);
        best = most(best, reached[p]);
    }
    for (int p = 0; p < bins; p++) path[p] = reached[p] - best;
}
static void weigh_evidence() { // posterior and salience
    for (int p = 0; p < bins; p++) {
        bool inside = bin_hz[p] >= reals.low && bin_hz[p] <= reals.high;
        evidence[p] = inside ? log_(posterior[p] + reals.eps) + reals.comb_weight*most(salience[p], 0.f) : -30;
    }
}
static void refine_pitch(const float* chosen) { // the best bin of the evidence or of the path → pitch and periodicity
    int best = 0;
    for (int p = 1; p < bins; p++) if (chosen[p] > chosen[best]) best = p;
    double sum = 0, moment = 0;
    float p_near = 0, s_near = 0;
    int peak = best;
    for (int p = most(0, best - 4); p <= least(bins - 1, best + 4); p++) {
        if (evidence[p] > evidence[peak]) peak = p;
        p_near = most(p_near, posterior[p]);
        s_near = most(s_near, salience[p]);
    }
    for (int d = -4; d <= 4; d++) {
        int p = within(peak + d, 0, bins - 1);
        double weight = exp_(evidence[p] - evidence[peak]) + 1e-9;
        sum += weight;
        moment += weight*p;
    }
    pitch = 10*exp2_((reals.first_cent + reals.cents_per_bin*moment/sum)/1200);
    periodicity = sigmoid(reals.fit_a + reals.fit_b*log_(p_near + reals.eps) + reals.fit_c*most(s_near, 0.f));
}

static bool open, sounding; // a note is on; this frame is sure

static void hear() { // 160 new samples are in `recent`
    static float x[window];
    for (int i = 0; i < window; i++) x[i] = i < heard ? recent[window - heard + i] : 0;
    measure_level();
    pitch = 440;
    periodicity = 0;
    if (!crepe(x)) {
        for (float& v : path) v /= 2;
        return;
    }
    fit_combs(x);
    weigh_evidence();
    follow_path(open);
    refine_pitch(path);
}

// --------------------------------------------------------------------- deciding: what the network chooses to sound

static int hidden, partials, bands, styles, style, room_on;
static float memory[layers_most][hidden_most], gate_in[3*hidden_most], gate_hidden[3*hidden_most];
static float told[2 + styles_most + 16], network_out[256], state_and_style[hidden_most + styles_most + 16];
static float amplitudes[drawn_most], magnitudes[bands_most]; // of this frame
static int drawn;     // partials, those above 8 kHz included
static double limit;  // Hz, where they end
static bool has_top;  // something is played above 8 kHz
static float room_power[fft_most/2 + 1];                        // of the room, by frequency up to 8 kHz

static void remember(int layer, const float* x, int inputs) { // one step of a GRU
    float* h = memory[layer];
    affine(x, gru[layer].wi, gru[layer].bi, inputs, 3*hidden, gate_in);
    affine(h, gru[layer].wh, gru[layer].bh, hidden, 3*hidden, gate_hidden);
    const float *i = gate_in, *g = gate_hidden;
    for (int k = 0; k < hidden; k++) {
        double reset = sigmoid(i[k] + g[k]), update = sigmoid(i[hidden + k] + g[hidden + k]);
        double fresh = tanh_(i[2*hidden + k] + reset*g[2*hidden + k]);
        h[k] = fresh + update*(h[k] - fresh);
    }
}

static double partial_power(double f) { // A-weighting of a partial, as a ratio of powers
    double at = within(f*4096/8000, 0., 4095.999);
    int i = int(at);
    double w = partial_weight[i] + (at - i)*(partial_weight[i + 1] - partial_weight[i]);
    return room_on ? w*room_power[within(int(f*(fft_most/16000.) + .5), 0, fft_most/2)] : w;
}

// above 8 kHz, where the network plays nothing, the spectrum just below tells how much tone and noise there is (02e_top)
static float top_in[9 + 3*styles_most], tone_density[16], air_density[16]; // dB per Hz
static bool air_sounds;

static double top_centre(int band) { return .5*(reals.top_edges[band] + reals.top_edges[band + 1]); }
static double density_at(const float* density, double f) { // between the centres of the bands
    int i = 0;
    while (i < top_bands - 2 && f > top_centre(i + 1)) i++;
    double share = (f - top_centre(i))/(top_centre(i + 1) - top_centre(i));
    return density[i] + (density[i + 1] - density[i])*within(share, 0., 1.);
}
static void fall(float* density, double highest) { // no band is above the one below it
    for (int b = 0; b < top_bands; b++) density[b] = highest = least(highest, double(density[b]));
}
static double mean_square(const float* x, int from, int to) {
    double sum = 0;
    for (int i = from; i < to; i++) sum += double(x[i])*x[i];
    return sum/(to - from);
}
static void decide_above(float f0, float loudness) { // Hz, dB → amplitudes from 8 kHz on, air_density
    static const double areas[] = {1000, 1000, 875}; // Hz, of the triangles around `low_centres`, which end at 8 kHz
    double tone[3] = {}, step = 8000./(bands - 1);
    for (int k = 0; k < partials; k++) for (int b = 0; b < 3; b++)
        tone[b] += .5*amplitudes[k]*amplitudes[k]*most(0., 1 - __builtin_fabs(f0*(k + 1) - reals.low_centres[b])/1000);
    for (int b = 0; b < 3; b++) tone[b] = to_db(tone[b]/areas[b] + 1e-20) - loudness;
    int from4 = int(4000/step + .5), from6 = int(6000/step + .5), to8 = int(7900/step + .5);
    double air[] = {mean_square(magnitudes, from4, from6), mean_square(magnitudes, from6, to8)};
    for (double& x : air) x = to_db(x/8000 + 1e-20) - loudness;
    double octaves = within(log2_(most(f0, 1.f)/440), -1.6, 1.6);
    double level = within(loudness/20 + 1., -2., .8), soft = within(-1.3 - loudness/20, 0., 2.);
    double both[] = {soft, octaves, level, octaves*octaves, octaves*level, level*level};
    for (int i = 0; i < 3; i++) top_in[i] = (within(tone[i], -140., -40.) + 80)/20;
    for (int i = 0; i < 6; i++) top_in[3 + i] = both[i];
    for (int s = 0; s < styles; s++) {
        top_in[9 + s] = s == style;
        top_in[9 + styles + s] = (s == style)*level;
        top_in[9 + 2*styles + s] = (s == style)*soft;
    }
    affine(top_in, tone_w, tone_b, 9 + 3*styles, 16, tone_density);
    for (int i = 0; i < 2; i++) top_in[i] = (within(air[i], -120., -74.) + 80)/20;
    affine(top_in, air_w, air_b, 9 + 3*styles, 16, air_density);
    fall(tone_density, tone[2] + 6);
    fall(air_density, air_density[0]);
    for (int b = 0; b < top_bands; b++) air_density[b] += loudness;
    air_sounds = loudness > reals.floor_db;
    double per_partial = loudness + to_db(2*f0);
    for (int k = 0; k < drawn && air_sounds; k++)
        if (f0*(k + 1) >= 8000 && f0*(k + 1) < limit) amplitudes[k] = amplitude(density_at(tone_density, f0*(k + 1)) + per_partial);
}

static void decide(float f0, float loudness) { // Hz, dB → amplitudes, magnitudes
    told[0] = log2_(most(f0, 1.f)/440);
    told[1] = loudness/20 + 2;
    for (int s = 0; s < styles; s++) told[2 + s] = s == style;
    remember(0, told, 2 + styles);
    for (int l = 1; l < sizes.layers; l++) remember(l, memory[l-1], hidden);
    for (int k = 0; k < hidden; k++) state_and_style[k] = memory[sizes.layers-1][k];
    for (int s = 0; s < styles; s++) state_and_style[hidden + s] = s == style;
    affine(state_and_style, out_w, out_b, hidden + styles, padded(partials + bands), network_out);
    double sum = 0, power = 1e-12;
    float top = -1e9f;
    for (int k = 0; k < partials; k++) if (f0*(k + 1) < 8000) top = most(top, network_out[k]);
    for (int k = 0; k < partials; k++) sum += amplitudes[k] = f0*(k + 1) < 8000 ? exp_(network_out[k] - top) : 0;
    for (int k = 0; k < partials; k++) {
        amplitudes[k] /= sum;
        if (amplitudes[k]) power += .5*amplitudes[k]*amplitudes[k]*partial_power(f0*(k + 1));
    }
    for (int b = 0; b < bands; b++) magnitudes[b] = sigmoid(network_out[partials + b]);
    for (int a = 0; a < bands; a++) {
        double row = 0;
        for (int b = 0; b < bands; b++) row += noise_power[a*bands + b]*magnitudes[b];
        power += row*magnitudes[a];
    }
    double gain = loudness > reals.floor_db ? amplitude(loudness)/root(power) : 0;
    for (int k = 0; k < partials; k++) amplitudes[k] *= gain;
    for (int b = 0; b < bands; b++) magnitudes[b] *= gain;
    for (int k = partials; k < drawn; k++) amplitudes[k] = 0;
    if (has_top) decide_above(f0, loudness);
}

// ------------------------------------------------------------------ sounding: partials, noise, room at any rate

static const int lobes = 12, steps = 512; // of the filter between two rates: half its length, points per sample
static float filter[lobes*steps + 2];
static double rate, ratio; // samples/s; samples per sample at 16 kHz

static const int rendered_most = 4096, history = 8192, noise_taps_most = 2*bands_most;
static float rendered[rendered_most];           // from this hop to the next
static float now_f0, was_f0, was_amplitudes[drawn_most];
static double phase;                            // cycles
static float noise_ring[1024], noise_tail[hop + noise_taps_most];
static float band_filter[noise_taps_most];
static u32 noise_made;
static float* noise_basis;

// the same filter at points a sample apart, in rows: row p begins p/rows_most of a sample later
static const int phases_most = 256, taps_most = 24*12 + 8;
struct Rows {
    int taps, before; // samples that are added up; how many of them come before the point
    float row[phases_most + 1][taps_most];
    void make(double scale); // scale: how much wider the filter is than at one sample per lobe
    template <class Ring> float at(const Ring& ring, int mask, double point) const {
        long long whole = __builtin_floor(point);
        double phase = (point - whole)*phases_most;
        int p = int(phase);
        float share = phase - p;
        const float *a = row[p], *b = row[p + 1];
        f4 sum = {};
        long long from = whole - before;
        for (int t = 0; t < taps; t += 4, from += 4) {
            f4 x = {ring[from & mask], ring[from + 1 & mask], ring[from + 2 & mask], ring[from + 3 & mask]};
            sum += x*(load4(a + t) + share*(load4(b + t) - load4(a + t)));
        }
        return sum[0] + sum[1] + sum[2] + sum[3];
    }
};
static Rows down, up; // to 16 kHz and from it

static double filter_at(double t) { // t in samples of the slower rate
    double at = __builtin_fabs(t)*steps;
    int i = int(at);
    return i < lobes*steps ? filter[i] + (at - i)*(filter[i + 1] - filter[i]) : 0;
}
static void make_filter() { // a sinc in a Kaiser window; passes up to .9 of the slower rate's Nyquist frequency
    for (int i = 0; i <= lobes*steps; i++) {
        double t = double(i)/steps, z = 6*root(most(0., 1 - (t/lobes)*(t/lobes))), bessel = 1, term = 1, whole = 1, w = 1;
        for (int k = 1; k < 25; k++) { term *= (z/2/k)*(z/2/k); bessel += term; w *= (3./k)*(3./k); whole += w; }
        double x = .9*t;
        filter[i] = .9*(i ? sine(x/2)/(pi*x) : 1)*bessel/whole;
    }
    filter[lobes*steps] = filter[lobes*steps + 1] = 0;
}

void Rows::make(double scale) {
    before = int(lobes*scale);
    taps = (2*before + 2 + 3) & ~3;
    for (int p = 0; p <= phases_most; p++) for (int t = 0; t < taps; t++)
        row[p][t] = filter_at((t - before - double(p)/phases_most)/scale)/scale;
}

static u32 scramble(u32 x) { // as `synth.white_noise`
    x ^= x >> 16; x *= 0x7feb352du;
    x ^= x >> 15; x *= 0x846ca68bu;
    return x ^ x >> 16;
}
static void make_noise_basis() { // the responses of the bands, in a Hann window
    int n = 2*(bands - 1);
    noise_basis = take(bands*bands);
    for (int t = 0; t < bands - 1; t++) for (int b = 0; b < bands; b++) {
        double w = cosine(t/(2.*n));
        noise_basis[t*bands + b] = cosine(double(b)*t/n)*w*w/n*(b && b < bands - 1 ? 2 : 1);
    }
}
static void make_noise() { // 160 samples at 16 kHz, filtered by this frame's bands
    int side = bands - 2, taps = 2*side + 1;
    if (bands < 2) return;
    for (int t = 0; t <= side; t++) {
        double h = 0;
        for (int b = 0; b < bands; b++) h += magnitudes[b]*noise_basis[t*bands + b];
        band_filter[side + t] = band_filter[side - t] = h;
    }
    for (int i = 0; i < hop + taps; i++) noise_tail[i] = i < taps ? noise_tail[hop + i] : 0;
    for (int i = 0; i < hop; i++) {
        float white = int(scramble(scramble(noise_made + i) ^ scramble(0)))*8.0654915e-10f; // variance 1
        for (int t = 0; t < taps; t++) noise_tail[i + t] += white*band_filter[t];
    }
    for (int i = 0; i < hop; i++) noise_ring[(noise_made + i) & 1023] = noise_tail[i];
    noise_made += hop;
}

// the noise above 8 kHz: white noise at the device's rate, filtered by densities; it glides from filter to filter
static const int air_most = 1024;
static int air_taps;
static bool air_sounded;
static float air_filter[air_most], air_before[air_most], air_white[air_most + rendered_most + 4];

static void make_air() {
    int n = air_taps;
    air_sounded = false;
    for (int t = 0; t < n; t++) {
        air_before[t] = air_filter[t];
        air_sounded = air_sounded || air_filter[t];
    }
    clear(air_filter);
    if (!air_sounds) return;
    double white = to_db(rate/2);
    for (int k = 0; k <= n/2; k++) {
        double f = k*rate/n, gain = f >= 8000 && f < limit ? amplitude(density_at(air_density, f) + white)/n : 0;
        work_re[k] = work_re[(n - k) % n] = k & 1 ? -gain : gain; // so that its middle is in the middle
    }
    for (int k = 0; k < n; k++) work_im[k] = 0;
    fft(work_re, work_im, n);
    for (int t = 0; t < n; t++) air_filter[t] = work_re[t]*hann_window[t*(window/n)];
}
static void add_air(float* y, int count, long long first) { // to samples number `first` and those after it
    if (!air_sounds && !air_sounded) return;
    for (int i = 0; i < count + air_taps; i++)
        air_white[i] = int(scramble(scramble(u32(first - air_taps + i)) ^ scramble(1)))*8.0654915e-10f;
    for (int i = 0; i < count; i += 4) {
        f4 before = {}, now = {}, at = {float(i), float(i + 1), float(i + 2), float(i + 3)};
        for (int t = 0; t < air_taps; t++) {
            f4 x = load4(air_white + i + t);
            before += air_before[t]*x;
            now += air_filter[t]*x;
        }
        f4 share = at*float(100/rate), one = share*0 + 1;
        store4(y + i, load4(y + i) + before + (now - before)*(share < one ? share : one));
    }
}

// the room: what comes back, at the device's rate; the first 256 taps as they stand, the rest as products of spectra
static const int part = 256, parts_most = 256;
static float early_reversed[part], part_re[parts_most][2*part], part_im[parts_most][2*part];
static float past_re[parts_most][2*part], past_im[parts_most][2*part], room_in[2*part], room_tail[part], direct;
static float room_response[fft_most/2];
static int parts, parts_ready, room_at, newest;

static void begin_room() { // of the style that plays: all but what `grow_room` adds
    int T = sizes.room;
    const float* r = room_weights + style*T;
    double energy = 1;
    for (int t = 0; t < fft_most; t++) {
        work_re[t] = t == 0 ? 1 : t <= T ? r[t-1]*exp_(-5.*t/T) : 0;
        work_im[t] = 0;
        if (t) energy += double(work_re[t])*work_re[t];
    }
    for (int t = 0; t < fft_most; t++) work_re[t] /= root(energy);
    for (int t = 0; t <= T; t++) room_response[t] = work_re[t];
    direct = room_response[0];
    fft(work_re, work_im, fft_most);
    for (int k = 0; k <= fft_most/2; k++) room_power[k] = work_re[k]*work_re[k] + work_im[k]*work_im[k];
    double per = rate/16000;
    parts = (least(int(T*per + 16*most(per, 1.)), part*parts_most) + part - 1)/part;
    parts_ready = 0;
}
static void enter_room() { // with nothing in it
    clear(room_in); clear(room_tail);
    for (auto& row : past_re) clear(row);
    for (auto& row : past_im) clear(row);
    room_at = newest = 0;
    begin_room();
}
static void grow_room() { // a few parts in each hop, so that none takes long
    int T = sizes.room;
    double per = rate/16000, scale = most(1., 1/per), reach = lobes*scale;
    for (int once = 0; once < 4 && parts_ready < parts; once++, parts_ready++) {
        float *re = part_re[parts_ready], *im = part_im[parts_ready];
        for (int n = 0; n < 2*part; n++) re[n] = im[n] = 0;
        for (int n = 0; n < part; n++) {
            double at = (parts_ready*part + n)/per;
            if (rate == 16000) re[n] = at && at <= T ? room_response[int(at)] : 0;
            else for (int t = most(1, int(at - reach)); t <= least(T, int(at + reach)); t++)
                re[n] += room_response[t]*filter_at((at - t)/scale)/per;
        }
        if (parts_ready) fft(re, im, 2*part);
        else for (int n = 0; n < part; n++) early_reversed[part - 1 - n] = re[n];
    }
}
static float in_room(float x) {
    float* now = room_in + part + room_at;
    *now = x;
    f4 sum = {};
    for (int n = 0; n < part; n += 4) sum += load4(early_reversed + n)*load4(now - part + 1 + n);
    float y = direct*x + sum[0] + sum[1] + sum[2] + sum[3] + room_tail[room_at];
    if (++room_at < part) return y;
    room_at = 0;
    newest = (newest + 1) % parts_most;
    float *re = past_re[newest], *im = past_im[newest];
    for (int n = 0; n < 2*part; n++) { re[n] = room_in[n]; im[n] = 0; }
    fft(re, im, 2*part);
    for (int n = 0; n < 2*part; n++) work_re[n] = work_im[n] = 0;
    for (int p = 1; p < parts_ready; p++) {
        float *a = past_re[(newest + parts_most - p + 1) % parts_most], *b = past_im[(newest + parts_most - p + 1) % parts_most];
        for (int n = 0; n < 2*part; n += 4) {
            f4 u = load4(a + n), v = load4(b + n), s = load4(part_re[p] + n), t = load4(part_im[p] + n);
            store4(work_re + n, load4(work_re + n) + u*s - v*t);
            store4(work_im + n, load4(work_im + n) + u*t + v*s);
        }
    }
    fft(work_re, work_im, 2*part, true);
    for (int n = 0; n < part; n++) { room_tail[n] = work_re[part + n]/(2*part); room_in[n] = room_in[part + n]; }
    return y;
}

// --------------------------------------------------------------- singing: when, in which octave, and how loud to play

struct Histogram { // of what was heard so far; after a minute, older frames count less and less
    static const int size = 320;
    float low, step, sum, count[size];
    void clear(float low_, float step_) {
        low = low_; step = step_; sum = 0;
        for (float& c : count) c = 0;
    }
    void add(float x) {
        count[within(int((x - low)/step), 0, size - 1)] += 1;
        if (++sum < 6000) return;
        for (float& c : count) c /= 2;
        sum = 0;
        for (float c : count) sum += c;
    }
    float quantile(double p) const {
        double target = p*sum, below = 0;
        int i = 0;
        while (i < size - 1 && below + count[i] < target) below += count[i++];
        return low + (i + (target - below)/most(count[i], 1e-6f))*step;
    }
};
static Histogram levels, quiet, notes; // of the singing, dB; of what has no pitch, dB; of the singing, octaves

// the gate
static float supposed_voice;                     // level of the voice as long as little was heard, dB
static int sung_frames, sure_frames, hold_frames, since_closed;
static bool tail; static float tail_reference, tail_lowest, tail_fell, tail_pitch, before[9]; static int tail_since;

static float voice_level() { return sung_frames > 20 ? levels.quantile(.9) : supposed_voice; }
static bool in_tail() { // a note has ended and only the room sounds on
    for (int i = 0; i < 8; i++) before[i] = before[i + 1];
    before[8] = level;
    if (tail) {
        tail_lowest = least(tail_lowest, level);
        tail_since++;
        if (level < tail_fell - 3) { tail_fell = level; tail_since = 0; }
        bool rises = level > tail_lowest + 5, moves = __builtin_fabs(12*log2_(pitch/tail_pitch)) > 1;
        if (rises || moves || tail_since > 15) { tail = false; tail_reference = level; }
        return tail;
    }
    tail_reference = most(level, tail_reference - .1f);
    if (level < tail_reference - 18 && level < before[0] - 2) {
        tail = true;
        tail_lowest = tail_fell = level;
        tail_pitch = pitch;
        tail_since = 0;
    }
    return tail;
}
static void gate() {
    float voice = voice_level();
    if (periodicity < .25) quiet.add(most(level, voice - 70));
    float noise = quiet.sum > 10 ? quiet.quantile(.1) : voice - 70;
    bool over = in_tail();
    int depth = sung_frames > 20 ? 23 : 20; // less is let through as long as the voice is not known
    bool opens = !over && periodicity > .5 && level > most(noise + 3, voice - depth);
    bool keeps = !over && periodicity > .25 && level > most(noise + 1, voice - 29);
    since_closed++;
    if (open) {
        sounding = keeps;
        hold_frames = keeps ? 5 : hold_frames - 1;
        if (!hold_frames) { open = sounding = false; since_closed = sure_frames = 0; }
    } else {
        sounding = false;
        sure_frames = opens ? sure_frames + 1 : 0;
        if (sung_frames <= 20 && periodicity > .8 && !opens) supposed_voice -= .1; // a soft microphone
        if (sure_frames >= (since_closed < 12 ? 1 : 2)) { open = sounding = true; hold_frames = 5; }
    }
    if (sounding) { levels.add(level); sung_frames++; }
}

// what the player may change
static float transpose, tuning, reference_a4, level_by, octave_wanted;
static int octave, key_mask;
static bool automatic, muted, calibrated;
// what is sung and played
static float held_pitch, centre, fade, played_f0, played_loudness;
static int calibrating;
static bool was_open;

static double octave_cost(int shift) { // how far the singing lies outside the instrument's range
    double cost = 0, x = log2_(held_pitch);
    bool known = notes.sum >= 30;
    for (int i = 0; i < 19; i++) {
        double at = (known ? notes.quantile(.05 + .05*i) : x) + shift + transpose/12;
        cost += most(reals.range_low - at, 0.) + most(at - reals.range_high, 0.);
    }
    return cost/19 + .004*(shift < 0 ? -shift : shift);
}
static void choose_octave() { // between notes only, and only for something clearly better
    if (!automatic) { octave = octave_wanted; return; }
    int best = 0;
    for (int shift = -4; shift <= 4; shift++) if (octave_cost(shift) < octave_cost(best)) best = shift;
    if (octave_cost(best) < octave_cost(octave) - (calibrating ? 0 : .02)) octave = best;
}
static double tuned(double f) { // pull the centre of a note to the nearest note of the key
    double semitones = 9 + 12*log2_(f/reference_a4);
    centre = __builtin_fabs(semitones - centre) > 1 ? semitones : centre + .12*(semitones - centre);
    if (!tuning || !key_mask) return f;
    double pull = 0, nearest = 99;
    for (int n = int(__builtin_floor(centre)) - 6; n < centre + 7; n++) {
        double away = n - centre, size = __builtin_fabs(away);
        if (key_mask >> (((n % 12) + 12) % 12) & 1 && size < nearest) { pull = away; nearest = size; }
    }
    return f*exp2_(tuning*pull/12);
}
static double mapped(double loudness) { // the singer's dynamics, laid over the instrument's
    double n = levels.sum, prior = calibrated ? 0 : 30, wide = calibrated ? 0 : 300; // frames that the defaults count for
    double middle = n ? levels.quantile(.5) : 0, spread = n ? levels.quantile(.9) - levels.quantile(.1) : 0;
    middle = (n*middle + prior*(supposed_voice - 6))/most(n + prior, 1.);
    spread = most((n*spread + wide*12)/most(n + wide, 1.), 3.);
    double slope = within((reals.loud90 - reals.loud10)/spread, .6, 1.5);
    double y = reals.loud50 + slope*(loudness - middle);
    return (y > reals.loud99 ? reals.loud99 + 6*tanh_((y - reals.loud99)/6) : y) + level_by;
}
static void sing() { // what was heard → what to play
    gate();
    if (open) held_pitch = pitch;
    if (sounding) notes.add(log2_(pitch));
    if (calibrating && !--calibrating) { calibrated = sung_frames > 30; choose_octave(); }
    if (open && !was_open) choose_octave();
    if (!automatic && !open) octave = octave_wanted;
    was_open = open;
    fade = open && sounding ? 1 : most(0.f, fade - .2f);
    played_f0 = tuned(held_pitch*exp2_(octave + transpose/12));
    bool silent = fade <= 0 || muted || calibrating;
    played_loudness = silent ? reals.floor_db : mapped(level) + 2*to_db(fade);
    played_loudness = most(played_loudness, reals.floor_db);
}

// ------------------------------------------------------------------------------------------------- one hop, rendered

static float input_history[history];
static long long arrived, resampled; // samples so far: at the device's rate, at 16 kHz
static int hops, hop_fill, rendered_at, rendered_count;
static float biased, unbiased, hop_in[hop];

static float noise_at(int n) { // n samples after this hop was complete, from the noise at 16 kHz
    if (rate == 16000) return noise_ring[(arrived - 1 + n - hop) & 1023];
    double at = (arrived - 1 + n)/ratio - hop - 2 - 2*lobes*most(1., 1/ratio); // as new as there is, at any fraction of a hop
    return up.at(noise_ring, 1023, at);
}
static const float inaudible = 1e-6f; // 120 dB below full scale
static void render() { // from the frame before to this one, at the device's rate
    int count = least(rendered_most, int(rate/100) + 2);
    double length = rate/100, slope = (now_f0 - was_f0)/rate/length;
    double highest = most(was_f0, now_f0);
    int audible = least(drawn, int(limit/most(highest, 1.)));
    while (audible > 0 && audible*highest >= limit) audible--;
    while (audible > 0 && most(was_amplitudes[audible - 1], amplitudes[audible - 1]) < inaudible) audible--;
    for (int n = 0; n < count; n += 4) {
        float c[4], s[4], share[4];
        for (int i = 0; i < 4; i++) {
            double at = n + i + 1, p = phase + at*was_f0/rate + slope*at*(at - 1)/2;
            c[i] = cosine(p);
            s[i] = sine(p);
            share[i] = least(1., (at - 1)/length);
        }
        f4 c1 = load4(c), s1 = load4(s), u = load4(share), ck = c1, sk = s1, sum = {};
        for (int k = 0; k < audible; k++) {
            sum += (was_amplitudes[k] + (amplitudes[k] - was_amplitudes[k])*u)*sk;
            f4 next = ck*c1 - sk*s1;
            sk = sk*c1 + ck*s1;
            ck = next;
        }
        store4(rendered + n, sum);
    }
    for (int n = 0; n < count && bands > 1; n++) rendered[n] += noise_at(n);
    if (has_top) add_air(rendered, count, arrived);
    rendered_at = 0;
    rendered_count = count;
}
static void advance() { // the phase, as far as the last hop was played
    double length = rate/100, at = rendered_at;
    phase += at*was_f0/rate + (now_f0 - was_f0)/rate/length*at*(at - 1)/2;
    phase -= __builtin_floor(phase);
}

static void sound(float f0, float loudness) { // from the frame before to this one
    advance();
    bool silent = true;
    for (int k = 0; k < drawn; k++) {
        was_amplitudes[k] = amplitudes[k];
        silent = silent && !amplitudes[k];
    }
    decide(f0, loudness);
    was_f0 = silent ? f0 : now_f0; // a note begins at its own pitch
    now_f0 = f0;
    make_noise();
    if (has_top) make_air();
    render();
}
static void publish();
static void one_hop() { // 160 samples at 16 kHz are complete
    for (int i = 0; i < window - hop; i++) recent[i] = recent[i + hop];
    for (int i = 0; i < hop; i++) recent[window - hop + i] = hop_in[i];
    if (room_on) grow_room();
    hear();
    sing();
    sound(played_f0, played_loudness);
    hops++;
    publish();
}

// ------------------------------------------------------------------------------------------------ what hosts call

static const int block_most = 4096;
static float input_block[block_most], output_block[block_most];
enum Setting { OCTAVE, AUTOMATIC, TRANSPOSE, TUNING, A4, KEY, STYLE, LEVEL, MUTE, ROOM, CALIBRATE };
enum Reading { INPUT_LEVEL, INPUT_HZ, PERIODICITY, OPEN, PLAYED_HZ, PLAYED_LEVEL, OCTAVE_NOW, CALIBRATING, HOPS, SOUNDING, STYLE_NOW };

EXPORT unsigned char* weights_file() { return file; }
EXPORT int weights_most() { return file_most; }
EXPORT float* input() { return input_block; }
EXPORT float* output() { return output_block; }


static void forget() { // what was heard of this singer
    levels.clear(-120, .5);
    quiet.clear(-120, .5);
    notes.clear(4, 1/32.f); // from 16 Hz, ten octaves
    supposed_voice = -20;
    sung_frames = 0;
    calibrated = false;
}
EXPORT float get(int what);
EXPORT void start(double rate_) { // silence, at a rate in samples/s
    rate = rate_;
    ratio = rate/16000;
    has_top = sizes.top && rate > 16000;
    limit = least(has_top ? double(reals.top_edges[top_bands]) : 8000., rate/2);
    drawn = has_top ? most(partials, int(limit/100)) : partials;
    air_taps = 128;
    while (air_taps < air_most && air_taps*200 < rate) air_taps *= 2; // 5 ms or more
    air_sounds = false;
    down.make(most(ratio, 1.));
    up.make(most(1., 1/ratio));
    arrived = resampled = hops = 0;
    hop_fill = rendered_at = rendered_count = 0;
    noise_made = 0;
    phase = fade = biased = unbiased = 0;
    forget();
    open = sounding = was_open = tail = false;
    hold_frames = sure_frames = calibrating = octave = 0;
    since_closed = 1000;
    tail_reference = -120;
    for (float& x : before) x = -120;
    held_pitch = was_f0 = now_f0 = played_f0 = 440;
    played_loudness = reals.floor_db;
    centre = 0;
    automatic = true; muted = false; room_on = 0; style = sizes.style;
    transpose = tuning = level_by = 0;
    reference_a4 = 440; key_mask = 4095;
    clear(path); clear(input_history); clear(recent); clear(noise_ring); clear(noise_tail);
    clear(amplitudes); clear(was_amplitudes); clear(magnitudes); clear(rendered); clear(air_filter);
    for (auto& row : memory) clear(row);
    publish();
}
EXPORT void set(int what, float value) {
    int whole = int(value < 0 ? value - .5f : value + .5f);
    switch (what) {
        case OCTAVE: octave_wanted = whole; automatic = false; break;
        case AUTOMATIC: automatic = whole; break;
        case TRANSPOSE: transpose = value; break;
        case TUNING: tuning = value; break;
        case A4: reference_a4 = value; break;
        case KEY: key_mask = whole; break;
        case STYLE:
            style = within(whole, 0, most(styles - 1, 0));
            if (room_on) begin_room();
            break;
        case LEVEL: level_by = value; break;
        case MUTE: muted = whole; break;
        case ROOM:
            if (whole && !room_on && sizes.room) enter_room();
            room_on = whole && sizes.room;
            break;
        case CALIBRATE:
            calibrating = whole; // frames
            forget();
            break;
    }
    publish();
}
EXPORT float get(int what) {
    switch (what) {
        case INPUT_LEVEL: return level;
        case INPUT_HZ: return pitch;
        case PERIODICITY: return periodicity;
        case OPEN: return open;
        case PLAYED_HZ: return played_f0;
        case PLAYED_LEVEL: return played_loudness;
        case OCTAVE_NOW: return octave;
        case CALIBRATING: return calibrating;
        case HOPS: return hops;
        case SOUNDING: return sounding;
        case STYLE_NOW: return style;
    }
    return 0;
}

static float published[16];
static void publish() { for (int i = INPUT_LEVEL; i <= STYLE_NOW; i++) published[i] = get(i); }
EXPORT float* readings() { return published; } // as after the last frame, for a thread that must not call

EXPORT int load(int bytes) { // the file of weights is in place; 0, or what is wrong with it
    __builtin_memcpy(&sizes, file, sizeof sizes);
    __builtin_memcpy(&reals, file + sizeof sizes, sizeof reals);
    hidden = sizes.hidden; partials = sizes.partials; bands = sizes.bands; styles = sizes.styles;
    if (sizes.magic != magic) return 1;
    if (sizes.bytes != bytes || bytes > file_most) return 2;
    if (hidden > hidden_most || hidden % 16 || sizes.layers > layers_most || partials > partials_most ||
        bands > bands_most || styles > styles_most || sizes.room >= room_most || partials + bands > 256 ||
        (sizes.top && (sizes.top != top_bands || bands < 3))) return 3;
    for (int k = 0; k < fft_most/2; k++) {
        turn_re[k] = cosine(double(k)/fft_most);
        turn_im[k] = -sine(double(k)/fft_most);
    }
    for (int k = 0; k < 128; k++) { turn256_re[k] = turn_re[k*64]; turn256_im[k] = turn_im[k*64]; }
    for (int k = 0; k < 256; k++) {
        int r = 0;
        for (int bit = 0; bit < 8; bit++) r |= (k >> bit & 1) << (7 - bit);
        reversed256[k] = r;
        reversed128[k/2] = k & 1 ? reversed128[k/2] : r;
    }
    for (int i = 0; i < window; i++) hann_window[i] = .5 - .5*cosine(double(i)/window);
    for (int i = 0; i < 512; i++) hann_level[i] = .5 - .5*cosine(i/512.);
    used = 0;
    const unsigned char* at = file + sizeof sizes + sizeof reals;
    float* tables = take(sizes.reals);
    __builtin_memcpy(tables, at, 4*sizes.reals);
    level_weight = tables;
    level_weight_short = level_weight + 257;
    partial_weight = level_weight_short + 129;
    noise_power = partial_weight + 4097;
    next_half = (const u16*)(at + 4*sizes.reals);
    for (Layer& c : convolution) {
        c.w = tensor(c.taps*(c.outputs == 128 ? 1 : c.inputs)*c.outputs);
        c.b = tensor(c.outputs);
        c.scale = tensor(c.outputs);
        c.offset = tensor(c.outputs);
    }
    classifier_w = tiles(256, columns);
    classifier_b = tensor(columns);
    for (int l = 0; l < sizes.layers; l++) {
        gru[l].wi = tiles(l ? hidden : 2 + styles, 3*hidden);
        gru[l].bi = tensor(3*hidden);
        gru[l].wh = tiles(hidden, 3*hidden);
        gru[l].bh = tensor(3*hidden);
    }
    out_w = tiles(hidden + styles, padded(partials + bands));
    out_b = tensor(padded(partials + bands));
    room_weights = tensor(most(styles, 1)*sizes.room);
    if (sizes.top) {
        tone_w = tiles(9 + 3*styles, 16);
        tone_b = tensor(16);
        air_w = tiles(9 + 3*styles, 16);
        air_b = tensor(16);
    }
    if (next_half != (const u16*)(at + 4*sizes.reals) + sizes.halves) return 3;
    make_spectra();
    make_combs();
    make_filter();
    if (bands > 1) make_noise_basis();
    start(48000);
    return 0;
}

static float at_16k() { // the next sample at 16 kHz, from the device's
    if (rate == 16000) return input_history[resampled & (history - 1)];
    return down.at(input_history, history - 1, resampled*ratio);
}
static float soft_limit(float y) { // a device cuts off what is larger than 1
    float size = __builtin_fabsf(y);
    return size <= .75f ? y : __builtin_copysignf(.75 + .25*tanh_((size - .75)*4), y);
}
EXPORT void process(int n) { // n samples in `input`, as many out in `output`
    double reach = rate == 16000 ? 0 : lobes*most(ratio, 1.);
    for (int i = 0; i < n; i++) {
        input_history[arrived++ & (history - 1)] = input_block[i];
        while (resampled*ratio + reach <= arrived - 1) {
            float x = at_16k();
            unbiased = x - biased + .992f*unbiased; // nothing below 20 Hz: microphones have an offset
            if (__builtin_fabsf(unbiased) < 1e-12f) unbiased = 0; // smaller numbers are slow
            biased = x;
            hop_in[hop_fill++] = unbiased;
            resampled++;
            if (hop_fill == hop) { hop_fill = 0; one_hop(); }
        }
        float y = rendered_at < rendered_count ? rendered[rendered_at++] : 0;
        output_block[i] = soft_limit(room_on ? in_room(y) : y);
    }
}

// what the chapter's tests compare with its readable stages
EXPORT float* probe(int what) {
    float* all[] = {posterior, salience, evidence, amplitudes, magnitudes, recent, rendered, &pitch, &periodicity, &level, air_density};
    return all[what];
}
EXPORT void probe_window() { // the window in `input` → posterior, salience, pitch, periodicity
    pitch = 440;
    periodicity = 0;
    if (!crepe(input_block)) return;
    fit_combs(input_block);
    weigh_evidence();
    refine_pitch(evidence);
}
EXPORT void probe_frame(float f0, float loudness) { // what is chosen and rendered for a frame
    arrived += int(rate/100);
    rendered_at = rendered_count ? int(rate/100) : 0;
    sound(f0, loudness);
}
EXPORT void probe_stage(int what, int times) { // one stage alone, to measure what it costs
    for (int i = 0; i < times; i++) switch (what) {
        case 0: for (int k = 0; k < hop; k++) { biased += 1e-20f*at_16k(); resampled++; } resampled -= hop; break;
        case 1: measure_level(); break;
        case 2: crepe(recent); break;
        case 3: fit_combs(recent); break;
        case 4: weigh_evidence(); follow_path(open); refine_pitch(path); break;
        case 5: sing(); break;
        case 6: decide(played_f0, played_loudness); break;
        case 7: make_noise(); if (has_top) make_air(); break;
        case 8: render(); break;
        case 9: for (int k = 0; k < int(rate/100); k++) in_room(rendered[k]); break;
    }
}
