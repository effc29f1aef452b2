/* What wasm2c's output asks of its host, and no more: memory is one static array of exactly RAM_BYTES, the module's __heap_base, and that
   is also its bound, so that any access past what the module says it uses is a trap. A trap ends the program: trapped() is the host's. */

#include "net.h"

static _Alignas(16) uint8_t linear_memory[RAM_BYTES];

void trapped(int reason) __attribute__((noreturn));

void wasm_rt_allocate_memory(wasm_rt_memory_t* memory, uint32_t pages, uint32_t max_pages) {
  memory->data = linear_memory;
  memory->pages = pages;
  memory->max_pages = max_pages;
  memory->size = RAM_BYTES;
}

void wasm_rt_free_memory(wasm_rt_memory_t* memory) { (void)memory; }
void wasm_rt_trap(wasm_rt_trap_t reason) { trapped(reason); }
bool wasm_rt_is_initialized(void) { return true; }
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...) { return params + results; }

#if WASM_RT_USE_STACK_DEPTH_COUNT
uint32_t wasm_rt_call_stack_depth;
#endif
