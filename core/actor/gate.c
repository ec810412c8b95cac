/* actor/gate.c - the chunks gates lie in. */
#include "actor/gate.h"

int sh_gates_init(sh_gates *g, const sh_mem *mem, uint32_t count_max)
{
    *g = (sh_gates){.mem = mem, .chunk_count = (count_max >> SH_GATE_SHIFT) + 1};
    g->chunks = sh_mem_array(mem, g->chunk_count, sizeof *g->chunks);
    return g->chunks ? 0 : SH_E_LIMIT;
}

void sh_gates_fini(sh_gates *g)
{
    for (uint32_t i = 0; g->chunks && i < g->chunk_count; i++) {
        sh_gate *chunk = atomic_load_explicit(&g->chunks[i], memory_order_relaxed);
        sh_mem_free(g->mem, chunk, sizeof(sh_gate) << SH_GATE_SHIFT);
    }
    sh_mem_free(g->mem, g->chunks, g->chunk_count * sizeof *g->chunks);
    g->chunks = NULL;
}

int sh_gates_need(sh_gates *g, uint32_t index)
{
    if (index >> SH_GATE_SHIFT >= g->chunk_count) {
        return SH_E_LIMIT;
    }
    /* Relaxed: only the owner's thread publishes chunks. */
    if (atomic_load_explicit(&g->chunks[index >> SH_GATE_SHIFT], memory_order_relaxed)) {
        return 0;
    }
    sh_gate *chunk = sh_mem_array(g->mem, 1u << SH_GATE_SHIFT, sizeof(sh_gate));
    if (!chunk) {
        return SH_E_LIMIT;
    }
    /* Release pairs with the acquire of sh_gates_at: the zeroes are seen before the pointer. */
    atomic_store_explicit(&g->chunks[index >> SH_GATE_SHIFT], chunk, memory_order_release);
    return 0;
}
