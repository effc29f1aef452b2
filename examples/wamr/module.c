#include "module.h"

#include <stdio.h>
#include <string.h>

enum { ABI = 2, HASH_TAIL = 10, SECTIONS = 12 };
enum { CUSTOM = 0, IMPORT = 2, START = 8, CODE = 10 };

const char *module_says(enum module_status status) {
  static const char *const text[] = {
      "ok",
      "no module of dunlin, or one that is cut off",
      "damaged: its bytes do not have its hash",
      "the runtime does not load it",
      "of another ABI than 2",
      "its self-test fails: it computes other bits here",
      "input or output of the wrong size",
      "the run failed",
      "no space for it in the flash",
      "no slot holds a module that works",
  };
  return (unsigned)status < sizeof text / sizeof *text ? text[status] : "unknown status";
}

uint32_t module_hash(const uint8_t *bytes, uint32_t length) {
  uint32_t hash = 0x811c9dc5u, i;
  for (i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 0x01000193u;
  return hash;
}

enum module_status module_check(const uint8_t *file, uint32_t length) {
  static const uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  const uint8_t *tail;
  uint32_t hash;
  int i;
  if (length < sizeof magic + HASH_TAIL || memcmp(file, magic, sizeof magic) != 0) return MODULE_NOT_ONE;
  /* Eight hexadecimal digits, then what closes the JSON around them. */
  tail = file + length - HASH_TAIL;
  if (tail[8] != '"' || tail[9] != '}') return MODULE_NOT_ONE;
  hash = module_hash(file, length - HASH_TAIL);
  for (i = 0; i < 8; i++)
    if (tail[i] != (uint8_t)"0123456789abcdef"[hash >> (28 - 4 * i) & 15]) return MODULE_DAMAGED;
  return MODULE_OK;
}

/* Unsigned LEB128 at *at, which it passes. 0 if it does not end before `end`, or has more than 32 bits. */
static int read_u32(const uint8_t *file, uint32_t end, uint32_t *at, uint32_t *value) {
  uint32_t shift;
  *value = 0;
  for (shift = 0; shift < 35 && *at < end; shift += 7) {
    const uint8_t byte = file[(*at)++];
    if (shift == 28 && byte > 15) return 0;
    *value |= (uint32_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return 1;
  }
  return 0;
}

/* The sections of the file as WAMR wants them, custom ones left out. Nothing is copied. */
static enum module_status list_sections(const uint8_t *file, uint32_t length, wasm_section_t *sections) {
  uint32_t at = 8, count = 0, size;
  while (at < length) {
    const uint8_t id = file[at++];
    if (!read_u32(file, length, &at, &size) || size > length - at) return MODULE_NOT_ONE;
    if (id == IMPORT || id == START || (id != CUSTOM && count == SECTIONS)) return MODULE_NOT_ONE;
    if (id != CUSTOM) {
      sections[count].section_type = id;
      /* WAMR's type is not const, but from sections it does not write (see CODE_IN_RAM). */
      sections[count].section_body = (uint8_t *)(uintptr_t)(file + at);
      sections[count].section_body_size = size;
      sections[count].next = NULL;
      if (count) sections[count - 1].next = &sections[count];
      count++;
    }
    at += size;
  }
  return count ? MODULE_OK : MODULE_NOT_ONE;
}

static int read_number(struct module *m, const char *name, uint32_t *value) {
  wasm_global_inst_t global;
  if (!wasm_runtime_get_export_global_inst(m->instance, name, &global)) return 0;
  if (global.kind != WASM_I32 || global.is_mutable) return 0;
  memcpy(value, global.global_data, sizeof *value);
  return 1;
}

enum module_status module_open(struct module *m, const uint8_t *file, uint32_t length) {
  wasm_section_t sections[SECTIONS];
  char error[96] = "";
  uint32_t abi = 0;
  enum module_status status;
#if CODE_IN_RAM
  wasm_section_t *s;
#endif
  memset(m, 0, sizeof *m);
  if ((status = module_check(file, length)) != MODULE_OK) return status;
  if ((status = list_sections(file, length, sections)) != MODULE_OK) return status;
#if CODE_IN_RAM
  for (s = sections; s; s = s->next) {
    if (s->section_type != CODE || m->code_in_ram) continue;
    if (!(m->code_in_ram = wasm_runtime_malloc(s->section_body_size))) return MODULE_REFUSED;
    memcpy(m->code_in_ram, s->section_body, s->section_body_size);
    s->section_body = m->code_in_ram;
  }
#endif
  m->code = wasm_runtime_load_from_sections(sections, false, error, sizeof error);
  if (m->code) m->instance = wasm_runtime_instantiate(m->code, 0, 0, error, sizeof error);
  if (m->instance) m->env = wasm_runtime_create_exec_env(m->instance, STACK_BYTES);
  if (!m->env) {
    fprintf(stderr, "%s\n", *error ? error : "no memory for the stack");
    module_close(m);
    return MODULE_REFUSED;
  }
  if (!read_number(m, "abi", &abi) || abi != ABI || !read_number(m, "__heap_base", &m->ram_bytes) ||
      !read_number(m, "input", &m->input) || !read_number(m, "input_bytes", &m->input_bytes) ||
      !read_number(m, "output", &m->output) || !read_number(m, "output_bytes", &m->output_bytes) ||
      !wasm_runtime_validate_app_addr(m->instance, m->input, m->input_bytes) ||
      !wasm_runtime_validate_app_addr(m->instance, m->output, m->output_bytes)) {
    module_close(m);
    return MODULE_WRONG_ABI;
  }
  return MODULE_OK;
}

void module_close(struct module *m) {
  if (m->env) wasm_runtime_destroy_exec_env(m->env);
  if (m->instance) wasm_runtime_deinstantiate(m->instance);
  if (m->code) wasm_runtime_unload(m->code);
  if (m->code_in_ram) wasm_runtime_free(m->code_in_ram);
  memset(m, 0, sizeof *m);
}

/* Calls an export without parameters. `result` may be NULL where there is none. */
static enum module_status call(struct module *m, const char *name, uint32_t *result) {
  wasm_function_inst_t function = m->instance ? wasm_runtime_lookup_function(m->instance, name) : NULL;
  /* Where WAMR puts the result, if there is one. */
  uint32_t argv[1] = {0};
  if (!function || wasm_func_get_param_count(function, m->instance) != 0 ||
      wasm_func_get_result_count(function, m->instance) != (result ? 1u : 0u))
    return MODULE_WRONG_ABI;
  if (!wasm_runtime_call_wasm(m->env, function, 0, argv)) {
    const char *said = wasm_runtime_get_exception(m->instance);
    fprintf(stderr, "%s: %s\n", name, said ? said : "trap");
    wasm_runtime_clear_exception(m->instance);
    return MODULE_RUN_FAILED;
  }
  if (result) *result = argv[0];
  return MODULE_OK;
}

enum module_status module_self_test(struct module *m) {
  uint32_t failed = 1;
  const enum module_status status = call(m, "self_test", &failed);
  if (status != MODULE_OK) return status;
  return failed ? MODULE_SELF_TEST_FAILED : MODULE_OK;
}

enum module_status module_run(struct module *m, const void *input, uint32_t input_bytes, void *output, uint32_t output_bytes) {
  uint32_t failed = 1;
  enum module_status status;
  if (!m->instance || input_bytes != m->input_bytes || output_bytes != m->output_bytes) return MODULE_WRONG_SIZE;
  memcpy(wasm_runtime_addr_app_to_native(m->instance, m->input), input, input_bytes);
  status = call(m, "run", &failed);
  if (status != MODULE_OK) return status;
  if (failed) return MODULE_RUN_FAILED;
  memcpy(output, wasm_runtime_addr_app_to_native(m->instance, m->output), output_bytes);
  return MODULE_OK;
}

enum module_status module_classify(struct module *m, uint32_t *index) {
  return call(m, "classify", index);
}

enum module_status module_reset(struct module *m) {
  if (m->instance && !wasm_runtime_lookup_function(m->instance, "reset")) return MODULE_OK;
  return call(m, "reset", NULL);
}
