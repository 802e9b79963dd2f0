/* The training step of stacked small networks, fused: what bench/networks does in torch, member by member.

   A member is computed alone and in a fixed order, so its bits cannot depend on its company. All rows of
   a batch stay in the first-level cache from the gather to the weight gradient. Matrices here are padded:
   rows begin at multiples of 32 bytes, and the padding holds zeros, which every operation keeps.
   Layouts, with `sizes` = inputs, hidden …, 1: parameters W (K, in, out) and b (K, out) as torch has them;
   `rows` (K, P·B) picks from the pool X (n, in), y (n); NULL takes row after row.
   The tests hold every function to its torch counterpart and to autograd.
   One file, longer than others here: a step is fast because the compiler sees all of it at once. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
#define WIDTH 32 /* bytes to a vector; compilers split or join it to what the machine has */
#define LANES ((int)(WIDTH / sizeof(real)))
#define MAX_LAYERS 16
#define ALWAYS static inline __attribute__((always_inline))

typedef REAL real;
typedef real vec __attribute__((vector_size(WIDTH), may_alias));
typedef int32_t bits __attribute__((vector_size(WIDTH), may_alias));

static int pad(int n) { return (n + LANES - 1) / LANES * LANES; }

/* ---- C (m, n) = F + A (m, p) B (p, n): A(i, k) = a[i * ai + k * ak]; n and row lengths in full vectors;
   F's rows are ldf apart: 0 repeats one row (a bias, or zeros), and F may be C itself ---- */

ALWAYS void tile(const int mr, const int nr, int p, const real *a, long ai, long ak, const real *b, int ldb,
                 const real *f, int ldf, real *c, int ldc) {
    vec sum[8][2];
    for (int i = 0; i < mr; i++)
        for (int j = 0; j < nr; j++) sum[i][j] = *(const vec *)(f + i * ldf + j * LANES);
    for (int k = 0; k < p; k++, a += ak, b += ldb) {
        vec row[2];
        for (int j = 0; j < nr; j++) row[j] = *(const vec *)(b + j * LANES);
        for (int i = 0; i < mr; i++) {
            vec one = a[i * ai] - (vec){0};
            for (int j = 0; j < nr; j++) sum[i][j] += one * row[j];
        }
    }
    for (int i = 0; i < mr; i++)
        for (int j = 0; j < nr; j++) *(vec *)(c + i * ldc + j * LANES) = sum[i][j];
}

/* nr vectors of columns, mr rows at once: twelve sums and what feeds them fill the registers of AVX2. */
ALWAYS void panel(const int mr, const int nr, int m, int p, const real *a, long ai, long ak, const real *b, int ldb,
                  const real *f, int ldf, real *c, int ldc) {
    int i = 0;
    for (; i + mr <= m; i += mr) tile(mr, nr, p, a + i * ai, ai, ak, b, ldb, f + i * ldf, ldf, c + i * ldc, ldc);
    for (; i + 2 <= m; i += 2) tile(2, nr, p, a + i * ai, ai, ak, b, ldb, f + i * ldf, ldf, c + i * ldc, ldc);
    for (; i < m; i++) tile(1, nr, p, a + i * ai, ai, ak, b, ldb, f + i * ldf, ldf, c + i * ldc, ldc);
}

static void multiply(int m, int n, int p, const real *a, long ai, long ak, const real *b, int ldb, const real *f,
                     int ldf, real *c, int ldc) {
    int j = 0;
    for (; n - j > LANES; j += 2 * LANES) panel(6, 2, m, p, a, ai, ak, b + j, ldb, f + j, ldf, c + j, ldc);
    if (j < n) panel(8, 1, m, p, a, ai, ak, b + j, ldb, f + j, ldf, c + j, ldc);
}

/* ---- shapes, weights, passes, and the memory they live in ---- */

typedef struct {
    int L, in[MAX_LAYERS], out[MAX_LAYERS], pin[MAX_LAYERS], pout[MAX_LAYERS], widest;
    const real *zeros; /* a row of the widest layer */
} Shape;

/* w (in, out) of hidden layers; wt (out, in) of all but the first, and of the last; b (out). */
typedef struct {
    real *w[MAX_LAYERS], *wt[MAX_LAYERS], *b[MAX_LAYERS];
} Weights;

/* Of B rows: h the input of each layer, mask the ReLU's slope times dropout's factor, delta = dl/d(sum). */
typedef struct {
    real *h[MAX_LAYERS], *mask[MAX_LAYERS], *delta[MAX_LAYERS], *z, *d, *q;
} Pass;

typedef struct {
    char *next;
    size_t used;
} Arena; /* next == NULL only counts */

static real *take(Arena *arena, int64_t n) {
    size_t bytes = (size_t)((n + LANES - 1) / LANES * LANES) * sizeof(real);
    real *found = (real *)(arena->next ? arena->next + arena->used : NULL);
    arena->used += bytes;
    return found;
}

/* Zeroed memory for what was counted; 0 where there is none. */
static int allocate(Arena *arena, size_t bytes) {
    arena->next = aligned_alloc(WIDTH, bytes);
    if (arena->next) memset(arena->next, 0, bytes);
    return arena->next != NULL;
}

static Shape shape_of(int L, const int *sizes) {
    Shape s = {.L = L};
    for (int l = 0; l < L; l++) {
        s.in[l] = sizes[l], s.out[l] = sizes[l + 1];
        s.pin[l] = pad(sizes[l]), s.pout[l] = pad(sizes[l + 1]);
        if (s.pin[l] > s.widest) s.widest = s.pin[l];
    }
    return s;
}

/* Whether places in a pass of B rows, or in the weights, are more than an int counts. */
static int is_too_large(const Shape *s, int B) {
    int64_t most = (int64_t)B * s->widest;
    for (int l = 0; l < s->L; l++)
        if ((int64_t)s->pin[l] * s->pout[l] > most) most = (int64_t)s->pin[l] * s->pout[l];
    return most > INT32_MAX;
}

static int is_last(const Shape *s, int l) { return l == s->L - 1; }
static int has_transposed(const Shape *s, int l) { return l > 0 || is_last(s, l); }

static Weights take_weights(const Shape *s, Arena *arena) {
    Weights found = {0};
    for (int l = 0; l < s->L; l++) {
        if (!is_last(s, l)) found.w[l] = take(arena, s->in[l] * s->pout[l]);
        if (has_transposed(s, l)) found.wt[l] = take(arena, s->out[l] * s->pin[l]);
        found.b[l] = take(arena, s->pout[l]);
    }
    return found;
}

static Pass take_pass(const Shape *s, Arena *arena, int B) {
    Pass found = {0};
    for (int l = 0; l < s->L; l++) {
        found.h[l] = take(arena, B * s->pin[l]);
        if (is_last(s, l)) continue;
        found.mask[l] = take(arena, B * s->pout[l]);
        found.delta[l] = take(arena, B * s->pout[l]);
    }
    found.z = take(arena, B), found.d = take(arena, B), found.q = take(arena, B);
    return found;
}

static void clear(real *a, int n) { memset(a, 0, (size_t)n * sizeof(real)); }

ALWAYS void copy(real *restrict to, const real *restrict from, int n) {
    for (int i = 0; i < n; i++) to[i] = from[i];
}

static void clear_weights(const Shape *s, const Weights *a) {
    for (int l = 0; l < s->L; l++) {
        if (a->w[l]) clear(a->w[l], s->in[l] * s->pout[l]);
        if (a->wt[l]) clear(a->wt[l], s->out[l] * s->pin[l]);
        clear(a->b[l], s->pout[l]);
    }
}

/* Copy member k's parameters in, in both layouts; the padding must be zero already. */
static void load(const Shape *s, const real *const *parameters, int k, Weights *to) {
    for (int l = 0; l < s->L; l++) {
        int in = s->in[l], out = s->out[l];
        const real *w = parameters[2 * l] + (size_t)k * in * out, *b = parameters[2 * l + 1] + (size_t)k * out;
        if (to->w[l])
            for (int i = 0; i < in; i++) copy(to->w[l] + i * s->pout[l], w + i * out, out);
        if (to->wt[l])
            for (int j = 0; j < out; j++)
                for (int i = 0; i < in; i++) to->wt[l][j * s->pin[l] + i] = w[i * out + j];
        copy(to->b[l], b, out);
    }
}

static void store(const Shape *s, const Weights *from, real scale, real *const *gradients, int k) {
    for (int l = 0; l < s->L; l++) {
        int in = s->in[l], out = s->out[l];
        real *w = gradients[2 * l] + (size_t)k * in * out, *b = gradients[2 * l + 1] + (size_t)k * out;
        if (is_last(s, l)) /* out is 1: the transpose is the vector */
            for (int i = 0; i < in; i++) w[i] = scale * from->wt[l][i];
        else
            for (int i = 0; i < in; i++)
                for (int j = 0; j < out; j++) w[i * out + j] = scale * from->w[l][i * s->pout[l] + j];
        for (int j = 0; j < out; j++) b[j] = scale * from->b[l][j];
    }
}

/* to = a + factor * b; n in full vectors. */
static void combine(real *to, const real *a, real factor, const real *b, int n) {
    for (int i = 0; i < n; i += LANES) *(vec *)(to + i) = *(vec *)(a + i) + factor * *(vec *)(b + i);
}

static void combine_weights(const Shape *s, Weights *to, const Weights *a, real factor, const Weights *b,
                            int transposed) {
    for (int l = 0; l < s->L; l++) {
        if (to->w[l]) combine(to->w[l], a->w[l], factor, b->w[l], s->in[l] * s->pout[l]);
        if (is_last(s, l) || (transposed && to->wt[l]))
            combine(to->wt[l], a->wt[l], factor, b->wt[l], s->out[l] * s->pin[l]);
        combine(to->b[l], a->b[l], factor, b->b[l], s->pout[l]);
    }
}

/* ---- forward, backward, gradient; `keep` holds dropout's factors of these rows, one array per hidden layer ---- */

static void gather(const Shape *s, int B, const real *X, const int64_t *rows, int64_t first, real *to) {
    for (int i = 0; i < B; i++) {
        const real *from = X + (rows ? rows[i] : first + i) * s->in[0];
        copy(to + i * s->pin[0], from, s->in[0]);
    }
}

static real dot(const real *a, const real *b, int n) {
    vec sum = {0};
    for (int i = 0; i < n; i += LANES) sum += *(vec *)(a + i) * *(vec *)(b + i);
    real total = 0;
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

static void forward(const Shape *s, const Weights *w, int B, Pass *pass, const real *const *keep, int64_t first) {
    const bits one = (bits)((vec){0} + (real)1);
    for (int l = 0; l < s->L - 1; l++) {
        int n = s->pout[l];
        real *h = pass->h[l + 1], *mask = pass->mask[l];
        multiply(B, n, s->in[l], pass->h[l], s->pin[l], 1, w->w[l], n, w->b[l], 0, h, n);
        for (int i = 0; i < B * n; i += LANES)
            *(vec *)(mask + i) = (vec)((bits)(*(vec *)(h + i) > (vec){0}) & one);
        if (keep)
            for (int i = 0; i < B; i++)
                for (int j = 0; j < s->out[l]; j++) mask[i * n + j] *= keep[l][(first + i) * s->out[l] + j];
        for (int i = 0; i < B * n; i += LANES) *(vec *)(h + i) *= *(vec *)(mask + i);
    }
    int l = s->L - 1;
    for (int i = 0; i < B; i++) pass->z[i] = w->b[l][0] + dot(pass->h[l] + i * s->pin[l], w->wt[l], s->pin[l]);
}

/* Fill delta from d = dl/dz; with `along` and `first`, the R-operator's: see meta_gradient. */
static void backward(const Shape *s, const Weights *w, int B, Pass *pass, const Weights *along, const Pass *first) {
    const Pass *masks = first ? first : pass;
    for (int l = s->L - 2; l >= 0; l--) {
        int n = s->pout[l], up = l + 1;
        real *delta = pass->delta[l];
        if (is_last(s, up)) {
            for (int i = 0; i < B; i++) {
                combine(delta + i * n, s->zeros, pass->d[i], w->wt[up], n);
                if (first) combine(delta + i * n, delta + i * n, first->d[i], along->wt[up], n);
            }
        } else {
            int m = s->out[up], pm = s->pout[up];
            multiply(B, n, m, pass->delta[up], pm, 1, w->wt[up], n, s->zeros, 0, delta, n);
            if (first) multiply(B, n, m, first->delta[up], pm, 1, along->wt[up], n, delta, n, delta, n);
        }
        for (int i = 0; i < B * n; i += LANES) *(vec *)(delta + i) *= *(vec *)(masks->mask[l] + i);
    }
}

/* Put h' delta into `to`, layer by layer from `lowest` on, and its transpose where asked; `add` to what is there. */
static void products(const Shape *s, int B, real *const *h, real *const *delta, const real *d, Weights *to, int lowest,
                     int transposed, int add) {
    for (int l = lowest; l < s->L; l++) {
        int m = s->pin[l], n = s->pout[l];
        real *w = to->w[l], *wt = to->wt[l];
        if (is_last(s, l)) {
            for (int i = 0; i < B; i++) combine(wt, i || add ? wt : s->zeros, d[i], h[l] + i * m, m);
            continue;
        }
        multiply(s->in[l], n, B, h[l], 1, m, delta[l], n, add ? w : s->zeros, add ? n : 0, w, n);
        if (transposed && l > 0)
            multiply(s->out[l], m, B, delta[l], 1, n, h[l], m, add ? wt : s->zeros, add ? m : 0, wt, m);
    }
}

static void bias_gradient(const Shape *s, int B, real *const *delta, const real *d, Weights *to, int add) {
    for (int l = 0; l < s->L - 1; l++) {
        int n = s->pout[l];
        for (int j = 0; j < n; j += LANES) {
            vec sum = *(const vec *)((add ? to->b[l] : s->zeros) + j);
            for (int i = 0; i < B; i++) sum += *(const vec *)(delta[l] + i * n + j);
            *(vec *)(to->b[l] + j) = sum;
        }
    }
    real *last = to->b[s->L - 1];
    for (int i = 0; i < B; i++) last[0] = (i || add ? last[0] : 0) + d[i];
}

static void gradient(const Shape *s, int B, const Pass *pass, Weights *to, int transposed, int add) {
    products(s, B, pass->h, pass->delta, pass->d, to, 0, transposed, add);
    bias_gradient(s, B, pass->delta, pass->d, to, add);
}

ALWAYS real exponential(real x) { return sizeof(real) == 4 ? expf(x) : exp(x); }
ALWAYS real logarithm1p(real x) { return sizeof(real) == 4 ? log1pf(x) : log1p(x); }

static real sigmoid(real z) { return 1 / (1 + exponential(-z)); }

/* ---- one loss on one batch per member ---- */

/* Per member: weight (2), margin (2), scale, gamma; see bench/networks/losses.py for the formula. */
typedef struct {
    const real *weight, *margin, *scale, *gamma;
    int focusing;
} Terms;

static real slope(const Terms *t, int k, real z, real y) {
    int c = y > 0;
    real sign = c ? 1 : -1, scale = t->scale[k];
    real u = scale * (sign * z - t->margin[2 * k + c]), factor = t->weight[2 * k + c] * scale * sign;
    if (!t->focusing) return -factor * sigmoid(-u);
    real log_p = (u < 0 ? u : 0) - logarithm1p(exponential(-fabs(u))), log_rest = log_p - u, gamma = t->gamma[k];
    real p = exponential(log_p), rest = exponential(log_rest);
    return factor * exponential(gamma * log_rest) * (gamma * p * log_p - rest);
}

#define BLOCK 32 /* rows at once */

/* The gradient of the mean over B rows of the loss; 1 where memory is out. */
int loss_gradient(int K, int B, int L, const int *sizes, const real *const *parameters, real *const *gradients,
                  const real *X, const real *y, const int64_t *rows, const real *const *keep, const real *weight,
                  const real *margin, const real *scale, const real *gamma, int focusing) {
    Shape s = shape_of(L, sizes);
    if (is_too_large(&s, BLOCK)) return 1;
    Terms terms = {weight, margin, scale, gamma, focusing};
    Arena arena = {NULL, 0};
    for (int counted = 0; counted < 2; counted++) {
        Arena now = {arena.next, 0};
        Weights w = take_weights(&s, &now), sum = take_weights(&s, &now);
        Pass pass = take_pass(&s, &now, BLOCK);
        s.zeros = take(&now, s.widest);
        if (!counted) {
            if (!allocate(&arena, now.used)) return 1;
            continue;
        }
        for (int k = 0; k < K; k++) {
            load(&s, parameters, k, &w);
            for (int start = 0; start < B; start += BLOCK) {
                int n = B - start < BLOCK ? B - start : BLOCK;
                int64_t first = (int64_t)k * B + start;
                const int64_t *mine = rows ? rows + first : NULL;
                gather(&s, n, X, mine, first, pass.h[0]);
                forward(&s, &w, n, &pass, keep, first);
                for (int i = 0; i < n; i++)
                    pass.d[i] = slope(&terms, k, pass.z[i], y[mine ? mine[i] : first + i]);
                backward(&s, &w, n, &pass, NULL, NULL);
                gradient(&s, n, &pass, &sum, 0, start > 0);
            }
            store(&s, &sum, (real)1 / B, gradients, k);
        }
    }
    free(arena.next);
    return 0;
}

/* ---- the outer gradient of MetaBalance; the equations are in bench/networks/gradients.py ---- */

typedef struct {
    const real *X, *y;
    const int64_t *rows;
    const real *const *keep;
    int B;
} Side;

static real label(const Side *side, int64_t i) { return side->y[side->rows ? side->rows[i] : i]; }

/* d and q = d2l/dz2 of the batch mean of cross-entropy, from the logits. */
static void cross_entropy(const Side *side, int64_t first, Pass *pass) {
    for (int i = 0; i < side->B; i++) {
        real p = sigmoid(pass->z[i]);
        pass->d[i] = (p - label(side, first + i)) / side->B;
        pass->q[i] = p * (1 - p) / side->B;
    }
}

static void pass_through(const Shape *s, const Weights *w, const Side *side, int64_t first, Pass *pass) {
    gather(s, side->B, side->X, side->rows ? side->rows + first : NULL, first, pass->h[0]);
    forward(s, w, side->B, pass, side->keep, first);
    cross_entropy(side, first, pass);
    backward(s, w, side->B, pass, NULL, NULL);
}

/* The R-operator's forward pass along v: h of `r` becomes R{h}, z R{z}. */
static void r_forward(const Shape *s, const Weights *w, const Weights *v, int B, const Pass *pass, Pass *r) {
    for (int l = 0; l < s->L - 1; l++) {
        int n = s->pout[l];
        real *h = r->h[l + 1];
        multiply(B, n, s->in[l], pass->h[l], s->pin[l], 1, v->w[l], n, v->b[l], 0, h, n);
        if (l > 0) multiply(B, n, s->in[l], r->h[l], s->pin[l], 1, w->w[l], n, h, n, h, n);
        for (int i = 0; i < B * n; i += LANES) *(vec *)(h + i) *= *(vec *)(pass->mask[l] + i);
    }
    int l = s->L - 1, m = s->pin[l];
    for (int i = 0; i < B; i++) {
        r->z[i] = v->b[l][0] + dot(pass->h[l] + i * m, v->wt[l], m);
        if (l > 0) r->z[i] += dot(r->h[l] + i * m, w->wt[l], m);
    }
}

/* Add H v of the inner loss to `curved`, H at w and on the rows of `pass`. */
static void add_hessian_product(const Shape *s, const Weights *w, const Weights *v, int B, const Pass *pass,
                                Pass *r, Weights *curved) {
    r_forward(s, w, v, B, pass, r);
    for (int i = 0; i < B; i++) r->d[i] = pass->q[i] * r->z[i];
    backward(s, w, B, r, v, pass);
    products(s, B, pass->h, r->delta, r->d, curved, 0, 0, 1);
    products(s, B, r->h, pass->delta, pass->d, curved, 1, 0, 1);
    bias_gradient(s, B, r->delta, r->d, curved, 1);
}

/* The gradient of the mean over P pairs of L(theta'; outer) + weight L(theta; inner); 1 where memory is out. */
int meta_gradient(int K, int P, int B_in, int B_out, int L, const int *sizes, const real *const *parameters,
                  real *const *gradients, const real *X_in, const real *y_in, const int64_t *rows_in,
                  const real *const *keep_in, const real *X_out, const real *y_out, const int64_t *rows_out,
                  const real *const *keep_out, const real *inner_lr, const real *inner_weight, int order) {
    Shape s = shape_of(L, sizes);
    if (is_too_large(&s, B_in > B_out ? B_in : B_out)) return 1;
    Side inner = {X_in, y_in, rows_in, keep_in, B_in}, outer = {X_out, y_out, rows_out, keep_out, B_out};
    Arena arena = {NULL, 0};
    for (int counted = 0; counted < 2; counted++) {
        Arena now = {arena.next, 0};
        Weights w = take_weights(&s, &now), step = take_weights(&s, &now), fast = take_weights(&s, &now);
        Weights out = take_weights(&s, &now), sum = take_weights(&s, &now), curved = take_weights(&s, &now);
        Pass in = take_pass(&s, &now, B_in), after = take_pass(&s, &now, B_out), r = take_pass(&s, &now, B_in);
        s.zeros = take(&now, s.widest);
        if (!counted) {
            if (!allocate(&arena, now.used)) return 1;
            continue;
        }
        for (int k = 0; k < K; k++) {
            load(&s, parameters, k, &w);
            clear_weights(&s, &sum);
            clear_weights(&s, &curved);
            for (int p = 0; p < P; p++) {
                int64_t pair = (int64_t)k * P + p;
                pass_through(&s, &w, &inner, pair * B_in, &in);
                gradient(&s, B_in, &in, &step, 1, 0);
                combine_weights(&s, &fast, &w, -inner_lr[k], &step, 1);
                pass_through(&s, &fast, &outer, pair * B_out, &after);
                gradient(&s, B_out, &after, &out, order == 2, 0);
                if (order == 2) add_hessian_product(&s, &w, &out, B_in, &in, &r, &curved);
                combine_weights(&s, &sum, &sum, 1, &out, 0);
                combine_weights(&s, &sum, &sum, inner_weight[k], &step, 0);
            }
            combine_weights(&s, &sum, &sum, -inner_lr[k], &curved, 0);
            store(&s, &sum, (real)1 / P, gradients, k);
        }
    }
    free(arena.next);
    return 0;
}

/* ---- optimisers over one tensor (K, n), settings (K); the formulas are in bench/networks/optimisers.py ---- */

void sgd_step(int K, long n, real *restrict parameter, const real *restrict slope, real *restrict velocity,
              const real *lr, const real *decay, const real *momentum) {
    for (int k = 0; k < K; k++)
        for (long i = k * n; i < (k + 1) * n; i++) {
            real g = slope[i] + decay[k] * parameter[i];
            velocity[i] = momentum[k] * velocity[i] + g;
            parameter[i] -= lr[k] * (g + momentum[k] * velocity[i]);
        }
}

typedef struct {
    const real *lr, *decay, *momentum, *correction, *root; /* (K) each */
} Adam;

static void adamw_member(int k, long n, real *restrict parameter, const real *restrict slope, real *restrict mean,
                         real *restrict square, const Adam *a) {
    real rate = a->lr[k] / a->correction[k], kept = 1 - a->lr[k] * a->decay[k], beta = a->momentum[k];
    for (long i = 0; i < n; i++) {
        real g = slope[i];
        mean[i] = beta * mean[i] + (1 - beta) * g;
        square[i] = (real)0.999 * square[i] + (real)0.001 * g * g;
        real size = (sizeof(real) == 4 ? sqrtf(square[i]) : sqrt(square[i])) / a->root[k] + (real)1e-8;
        parameter[i] = kept * parameter[i] - rate * mean[i] / size;
    }
}

void adamw_step(int K, long n, real *parameter, const real *slope, real *mean, real *square, const real *lr,
                const real *decay, const real *momentum, const real *correction, const real *root) {
    Adam adam = {lr, decay, momentum, correction, root};
    for (int k = 0; k < K; k++)
        adamw_member(k, n, parameter + k * n, slope + k * n, mean + k * n, square + k * n, &adam);
}

/* ---- Meta-Weight-Net; the equations are in bench/methods/meta_weight_net.py ---- */

/* Member k's weight net 1-H-1, and its gradients: into hidden (H), bias (H), out (H), last (1). */
typedef struct {
    int H;
    real *part[4];
} WeightNet;

static WeightNet net_of(int H, real *const *tensors, int k) {
    return (WeightNet){H, {tensors[0] + k * H, tensors[1] + k * H, tensors[2] + k * H, tensors[3] + k}};
}

/* V of each loss; `hidden` (B, H) keeps the ReLU's outputs. */
static void weigh(const WeightNet *net, int B, const real *loss, real *hidden, real *V) {
    const real *into = net->part[0], *bias = net->part[1], *out = net->part[2];
    for (int i = 0; i < B; i++) {
        real *h = hidden + i * net->H;
        for (int j = 0; j < net->H; j++) {
            real a = into[j] * loss[i] + bias[j];
            h[j] = a > 0 ? a : 0;
        }
        vec sum = {0};
        int j = 0;
        for (; j + LANES <= net->H; j += LANES)
            for (int lane = 0; lane < LANES; lane++) sum[lane] += h[j + lane] * out[j + lane];
        real z = net->part[3][0];
        for (; j < net->H; j++) z += h[j] * out[j];
        for (int lane = 0; lane < LANES; lane++) z += sum[lane];
        V[i] = sigmoid(z);
    }
}

/* The gradient of sum_i along_i V_i in the weight net's parameters. */
static void weigh_back(const WeightNet *net, int B, const real *loss, const real *hidden, const real *V,
                       const real *along, WeightNet *to) {
    real *restrict into = to->part[0], *restrict bias = to->part[1], *restrict out = to->part[2];
    clear(into, net->H), clear(bias, net->H), clear(out, net->H), clear(to->part[3], 1);
    for (int i = 0; i < B; i++) {
        const real *h = hidden + i * net->H, *up = net->part[2];
        real dz = along[i] * V[i] * (1 - V[i]);
        to->part[3][0] += dz;
        for (int j = 0; j < net->H; j++) {
            real da = h[j] > 0 ? dz * up[j] : 0;
            out[j] += dz * h[j], bias[j] += da, into[j] += da * loss[i];
        }
    }
}

/* One step of Adam along member k's gradients `moved`. */
static void step_net(int k, const WeightNet *moved, real *const *phi, real *const *mean, real *const *square,
                     const Adam *adam) {
    for (int i = 0; i < 4; i++) {
        long n = i < 3 ? moved->H : 1;
        adamw_member(k, n, phi[i] + k * n, moved->part[i], mean[i] + k * n, square[i] + k * n, adam);
    }
}

/* d: each row's slope times its share of all weights, of which B are one each on average. */
static void share_out(int B, const real *V, const real *slope, real *d) {
    real total = 0;
    for (int i = 0; i < B; i++) total += V[i];
    for (int i = 0; i < B; i++) d[i] = B * slope[i] * V[i] / total;
}

/* The cross-entropy of each row of a pass. */
static void losses(const Side *side, int64_t first, const Pass *pass, real *loss) {
    for (int i = 0; i < side->B; i++) {
        real u = label(side, first + i) > 0 ? pass->z[i] : -pass->z[i];
        loss[i] = logarithm1p(exponential(-fabs(u))) - (u < 0 ? u : 0);
    }
}

/* Step the weight nets, and return the gradient of the re-weighted loss; 1 where memory is out. */
int reweighted_gradient(int K, int B, int B_meta, int L, const int *sizes, const real *const *parameters,
                        real *const *gradients, const real *X, const real *y, const int64_t *rows,
                        const real *const *keep, const real *X_meta, const real *y_meta, const int64_t *rows_meta,
                        const real *const *keep_meta, const real *inner_lr, int H, real *const *phi,
                        real *const *mean, real *const *square, const real *lr, const real *decay,
                        const real *momentum, const real *correction, const real *root) {
    Shape s = shape_of(L, sizes);
    if (is_too_large(&s, B > B_meta ? B : B_meta) || (int64_t)B * H > INT32_MAX) return 1;
    Side train = {X, y, rows, keep, B}, meta = {X_meta, y_meta, rows_meta, keep_meta, B_meta};
    Adam adam = {lr, decay, momentum, correction, root};
    Arena arena = {NULL, 0};
    for (int counted = 0; counted < 2; counted++) {
        Arena now = {arena.next, 0};
        Weights w = take_weights(&s, &now), sum = take_weights(&s, &now), ahead = take_weights(&s, &now);
        Pass pass = take_pass(&s, &now, B), after = take_pass(&s, &now, B_meta), r = take_pass(&s, &now, B);
        real *loss = take(&now, B), *slope = take(&now, B), *V = take(&now, B), *hidden = take(&now, B * H);
        WeightNet moved = {H, {take(&now, H), take(&now, H), take(&now, H), take(&now, 1)}};
        s.zeros = take(&now, s.widest);
        if (!counted) {
            if (!allocate(&arena, now.used)) return 1;
            continue;
        }
        for (int k = 0; k < K; k++) {
            WeightNet net = net_of(H, phi, k);
            load(&s, parameters, k, &w);
            pass_through(&s, &w, &train, (int64_t)k * B, &pass); /* d is of the mean over B */
            losses(&train, (int64_t)k * B, &pass, loss);
            copy(slope, pass.d, B);
            weigh(&net, B, loss, hidden, V);
            for (int i = 0; i < B; i++) pass.d[i] = V[i] * slope[i];
            backward(&s, &w, B, &pass, NULL, NULL);
            gradient(&s, B, &pass, &sum, 1, 0);
            combine_weights(&s, &ahead, &w, -inner_lr[k], &sum, 1);
            pass_through(&s, &ahead, &meta, (int64_t)k * B_meta, &after);
            gradient(&s, B_meta, &after, &sum, 0, 0);
            r_forward(&s, &w, &sum, B, &pass, &r);
            for (int i = 0; i < B; i++) r.d[i] = -inner_lr[k] * slope[i] * r.z[i];
            weigh_back(&net, B, loss, hidden, V, r.d, &moved);
            step_net(k, &moved, phi, mean, square, &adam);
            weigh(&net, B, loss, hidden, V);
            share_out(B, V, slope, pass.d);
            backward(&s, &w, B, &pass, NULL, NULL);
            gradient(&s, B, &pass, &sum, 0, 0);
            store(&s, &sum, 1, gradients, k);
        }
    }
    free(arena.next);
    return 0;
}

/* ---- random numbers by counting; exactly the integers of bench/networks/streams.py ---- */

static uint32_t mix(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x21F0AAADu;
    x = (x ^ (x >> 15)) * 0x735A2D97u;
    return x ^ (x >> 15);
}

static uint64_t feistel(uint64_t cell, uint64_t size, int bit_count, uint32_t key) {
    uint64_t last = ((uint64_t)1 << bit_count) - 1, height = (size + last) >> bit_count;
    uint64_t column = cell & last, row = cell >> bit_count;
    for (uint32_t i = 0; i < 4; i++) {
        column = (column + mix((uint32_t)row + key + 2 * i * 0x9E3779B9u)) & last;
        row += (mix((uint32_t)column + key + (2 * i + 1) * 0x9E3779B9u) * height) >> 32;
        if (row >= height) row -= height;
    }
    return row << bit_count | column;
}

static int half_bits(uint64_t size) { return size > 1 ? (64 - __builtin_clzll(size - 1)) / 2 : 0; }

static uint64_t permuted(uint64_t cell, uint64_t size, int bit_count, uint32_t key) {
    do cell = feistel(cell, size, bit_count, key);
    while (cell >= size);
    return cell;
}

/* Positions start … start + count - 1 of each member's stream, plus its offset into the pool. With a batch,
   an epoch is a whole number of batches, and its last one is filled up with its own rows again. */
void stream_rows(int K, int64_t start, int64_t count, int64_t batch, const int64_t *keys, const int64_t *sizes,
                 const int64_t *offsets, int64_t *found) {
    for (int k = 0; k < K; k++) {
        uint64_t size = (uint64_t)sizes[k], B = (uint64_t)batch, length = B ? (size + B - 1) / B * B : size;
        uint64_t place = (uint64_t)start % length, epoch = (uint64_t)start / length;
        int bit_count = half_bits(size);
        uint32_t key = mix((uint32_t)keys[k] + mix((uint32_t)epoch));
        for (int64_t i = 0; i < count; i++) {
            uint64_t first = B ? (size - 1) / B * B : 0;  /* of the last batch */
            uint64_t cell = place < size ? place : first + (place - first) % (size - first);
            found[k * count + i] = (int64_t)permuted(cell, size, bit_count, key) + offsets[k];
            if (++place == length) place = 0, key = mix((uint32_t)keys[k] + mix((uint32_t)++epoch));
        }
    }
}

/* One class of a stream: `size` rows, `own` of which come in a turn; `at` and `round` are where this turn begins. */
typedef struct {
    uint64_t size, own, at, round, keyed;
    uint32_t key, round_key;
    int bit_count;
} Class;

static void begin_turn(Class *s, uint64_t turns) {
    s->at += turns * s->own;
    if (s->at >= s->size) s->round += s->at / s->size, s->at %= s->size;
}

static uint64_t class_row(Class *s, uint64_t place) {
    if (s->own == s->size) return place; /* all come in every turn, whose order has mixed them */
    uint64_t at = s->at + place, round = s->round;
    if (at >= s->size) round += at / s->size, at %= s->size;
    if (round != s->keyed) s->keyed = round, s->round_key = mix(s->key + mix((uint32_t)round));
    return permuted(at, s->size, s->bit_count, s->round_key);
}

/* The same of two classes, of which turns (K, 2) rows come in turn, in an order of their own unless they are a pair.
   keys (K, 3) are of that order and of the order within either class; rows are numbered class by class. */
void class_rows(int K, int64_t start, int64_t count, const int64_t *keys, const int64_t *sizes, const int64_t *turns,
                const int64_t *offsets, int64_t *found) {
    for (int k = 0; k < K; k++) {
        uint64_t length = (uint64_t)turns[2 * k] + (uint64_t)turns[2 * k + 1];
        uint64_t cell = (uint64_t)start % length, turn = (uint64_t)start / length;
        int bit_count = half_bits(length), is_pair = length == 2;
        uint32_t order = (uint32_t)keys[3 * k], key = mix(order + mix((uint32_t)turn));
        Class classes[2];
        for (int c = 0; c < 2; c++) {
            uint64_t size = (uint64_t)sizes[2 * k + c], own = (uint64_t)turns[2 * k + c];
            classes[c] = (Class){size, own, 0, 0, ~(uint64_t)0, (uint32_t)keys[3 * k + 1 + c], 0, half_bits(size)};
            begin_turn(&classes[c], turn);
        }
        for (int64_t i = 0; i < count; i++) {
            uint64_t place = is_pair ? cell : permuted(cell, length, bit_count, key), first = classes[0].own;
            uint64_t row = place < first ? class_row(&classes[0], place)
                                         : classes[0].size + class_row(&classes[1], place - first);
            found[k * count + i] = (int64_t)row + offsets[k];
            if (++cell < length) continue;
            cell = 0, turn++;
            if (!is_pair) key = mix(order + mix((uint32_t)turn));
            begin_turn(&classes[0], 1), begin_turn(&classes[1], 1);
        }
    }
}

/* Dropout's factors (K, n): 0, or 1/(1 - rate), from counters start … start + n - 1. */
void dropout_factors(int K, int64_t start, int64_t n, const int64_t *keys, const real *rates, real *found) {
    for (int k = 0; k < K; k++) {
        real kept = 1 / (1 - rates[k]);
        for (int64_t i = 0, end; i < n; i = end) { /* beyond 2^32 numbers the key is another */
            uint32_t high = (uint32_t)((start + i) >> 32), key = (uint32_t)keys[k];
            int64_t left = ((int64_t)(high + 1) << 32) - start;
            if (high) key = mix(key + mix(high));
            for (end = left < n ? left : n; i < end; i++) {
                uint32_t drawn = mix(mix((uint32_t)(start + i) + 0x9E3779B9u) + key) >> 8;
                found[k * n + i] = (float)drawn * 0x1p-24f >= rates[k] ? kept : 0;
            }
        }
    }
}
