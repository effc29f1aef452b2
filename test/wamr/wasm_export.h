/* What examples/wamr uses of WAMR's interface, declared for a stand-in (runtime.c) that executes nothing: it finds a module's exports and its
 * memory, and functions return what the test wants. For what the host itself decides; WAMR_ROOT runs the same tests with WAMR. */
#ifndef WASM_EXPORT_H
#define WASM_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct stand_in *wasm_module_t, *wasm_module_inst_t, *wasm_exec_env_t;
typedef const char *wasm_function_inst_t;

typedef struct wasm_section_t {
  struct wasm_section_t *next;
  int section_type;
  uint8_t *section_body;
  uint32_t section_body_size;
} wasm_section_t;

enum { WASM_I32 };
typedef struct {
  int kind;
  bool is_mutable;
  void *global_data;
} wasm_global_inst_t;

enum { Alloc_With_Pool };
typedef struct {
  int mem_alloc_type;
  union {
    struct {
      void *heap_buf;
      uint32_t heap_size;
    } pool;
  } mem_alloc_option;
} RuntimeInitArgs;
typedef struct {
  uint32_t total_size, highmark_size;
} mem_alloc_info_t;

bool wasm_runtime_full_init(RuntimeInitArgs *args);
void wasm_runtime_destroy(void);
bool wasm_runtime_get_mem_alloc_info(mem_alloc_info_t *info);
void *wasm_runtime_malloc(unsigned int size);
void wasm_runtime_free(void *pointer);
wasm_module_t wasm_runtime_load_from_sections(wasm_section_t *sections, bool is_aot, char *error, uint32_t size);
void wasm_runtime_unload(wasm_module_t module);
wasm_module_inst_t wasm_runtime_instantiate(wasm_module_t module, uint32_t stack, uint32_t heap, char *error, uint32_t size);
void wasm_runtime_deinstantiate(wasm_module_inst_t instance);
wasm_exec_env_t wasm_runtime_create_exec_env(wasm_module_inst_t instance, uint32_t stack);
void wasm_runtime_destroy_exec_env(wasm_exec_env_t env);
bool wasm_runtime_get_export_global_inst(wasm_module_inst_t instance, const char *name, wasm_global_inst_t *global);
bool wasm_runtime_validate_app_addr(wasm_module_inst_t instance, uint64_t address, uint64_t size);
void *wasm_runtime_addr_app_to_native(wasm_module_inst_t instance, uint64_t address);
wasm_function_inst_t wasm_runtime_lookup_function(wasm_module_inst_t instance, const char *name);
uint32_t wasm_func_get_param_count(wasm_function_inst_t function, wasm_module_inst_t instance);
uint32_t wasm_func_get_result_count(wasm_function_inst_t function, wasm_module_inst_t instance);
bool wasm_runtime_call_wasm(wasm_exec_env_t env, wasm_function_inst_t function, uint32_t argc, uint32_t argv[]);
const char *wasm_runtime_get_exception(wasm_module_inst_t instance);
void wasm_runtime_clear_exception(wasm_module_inst_t instance);

#endif
