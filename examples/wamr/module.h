/* A dunlin module (ABI 2) in WAMR, loaded from memory that is never written: see docs/module.md.
 *
 * C99. Needs WAMR's wasm_export.h and nothing else. All RAM comes from WAMR's pool. */
#ifndef MODULE_H
#define MODULE_H

#include <stddef.h>
#include <stdint.h>
#include "wasm_export.h"

/* WAMR's classic interpreter rewrites instructions as it loads them, so it wants the code section in RAM (as many bytes as the section
 * has); the fast interpreter makes a form of its own and leaves the file as it is. */
#ifndef CODE_IN_RAM
#define CODE_IN_RAM 0
#endif

/* The operand stack of an exec env, in bytes, taken from the pool; classic frames are larger. A module that needs more answers
 * MODULE_RUN_FAILED to its self-test, and says "operand stack overflow" on stderr. */
#ifndef STACK_BYTES
#define STACK_BYTES (CODE_IN_RAM ? 4096 : 2048)
#endif

enum module_status {
  MODULE_OK = 0,
  MODULE_NOT_ONE,          /* no wasm file, one with imports or a start function, or one that is cut off */
  MODULE_DAMAGED,          /* its bytes do not have the hash at its end */
  MODULE_REFUSED,          /* the runtime does not load it: out of memory, or a feature that the runtime lacks */
  MODULE_WRONG_ABI,        /* it is of another version, or lacks an export */
  MODULE_SELF_TEST_FAILED, /* it does not compute here what it computed when it was built */
  MODULE_WRONG_SIZE,       /* input or output of another size than the module's */
  MODULE_RUN_FAILED,       /* a trap, or a status that is not 0 */
  MODULE_NO_SPACE,         /* an update that is larger than a slot, or a flash that cannot be written */
  MODULE_NONE              /* no slot holds a module that works */
};

struct module {
  wasm_module_t code;
  wasm_module_inst_t instance;
  wasm_exec_env_t env;
  uint8_t *code_in_ram;
  uint32_t input, input_bytes, output, output_bytes, ram_bytes;
};

/* Text of a status. */
const char *module_says(enum module_status status);

/* FNV-1a, 32 bits. */
uint32_t module_hash(const uint8_t *bytes, uint32_t length);

/* Whether the file is whole: a wasm file that ends in the hash of all bytes before. Reads only. */
enum module_status module_check(const uint8_t *file, uint32_t length);

/* Loads and instantiates `file`, which must stay where it is until module_close. Fills `m` or leaves it closed. */
enum module_status module_open(struct module *m, const uint8_t *file, uint32_t length);

void module_close(struct module *m);

/* Runs the module's self-test, after which its state is zero. */
enum module_status module_self_test(struct module *m);

/* Copies the input in, runs, copies the output out. Sizes are those of input and output in bytes and must be the module's own. */
enum module_status module_run(struct module *m, const void *input, uint32_t input_bytes, void *output, uint32_t output_bytes);

/* The class after a run: index of the largest output. MODULE_WRONG_ABI when the module's output is no vector. */
enum module_status module_classify(struct module *m, uint32_t *index);

/* Zeroes the state of a model that keeps some; others have none, and it is fine. */
enum module_status module_reset(struct module *m);

#endif
