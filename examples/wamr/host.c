/* A host on a PC that does what a device does: the module lies in read-only flash (a file, mapped without the right to write), all RAM of
 * the runtime comes from one pool, updates go to the other of two slots.
 *
 *   host FLASH update MODULE.wasm       writes the module to the slot that is free, tests it there, switches to it or goes back
 *   host FLASH run INPUT                the input's bytes in, the output's bytes out as numbers
 *   host FLASH                          what boots, and what it takes
 *
 * The exit status is the enum module_status. Compile with -DMODEL_HEADER='"digits.h"' -DMODEL=DIGITS, a header that `dunlin build`
 * wrote, and updates of other sizes than its are refused; without one, the first module sets the sizes. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slots.h"

#ifndef POOL_BYTES
#define POOL_BYTES 65536
#endif
#ifndef SLOT_BYTES
#define SLOT_BYTES 131072
#endif
#ifdef MODEL_HEADER
#include MODEL_HEADER
#define PASTE(a, b) a##b
#define OF(a, b) PASTE(a, b)
enum { INPUT_BYTES = OF(MODEL, _INPUT_BYTES), OUTPUT_BYTES = OF(MODEL, _OUTPUT_BYTES) };
#endif

static uint64_t pool[POOL_BYTES / 8];
static int flash_file = -1;

static int write_all(off_t at, const uint8_t *bytes, uint32_t length) {
  return pwrite(flash_file, bytes, length, at) == (ssize_t)length && fdatasync(flash_file) == 0;
}

static int flash_write(int slot, uint32_t at, const uint8_t *bytes, uint32_t length) {
  return write_all((off_t)slot * SLOT_BYTES + at, bytes, length);
}

static int flash_erase(int slot) {
  static uint8_t empty[SLOT_BYTES];
  memset(empty, 0xff, sizeof empty);
  return flash_write(slot, 0, empty, sizeof empty);
}

static int open_flash(const char *path, struct flash *flash) {
  struct stat found;
  const uint8_t *mapped;
  flash_file = open(path, O_RDWR | O_CREAT, 0644);
  if (flash_file < 0 || fstat(flash_file, &found) != 0) return 0;
  if (found.st_size < SLOTS * SLOT_BYTES && !(flash_erase(0) && flash_erase(1))) return 0;
  mapped = mmap(NULL, SLOTS * SLOT_BYTES, PROT_READ, MAP_SHARED, flash_file, 0);
  if (mapped == MAP_FAILED) return 0;
  flash->slot[0] = mapped;
  flash->slot[1] = mapped + SLOT_BYTES;
  flash->slot_bytes = SLOT_BYTES;
  flash->erase = flash_erase;
  flash->write = flash_write;
  return 1;
}

static int from_file(void *from, uint8_t *to, uint32_t length) {
  return (int)fread(to, 1, length, from);
}

static enum module_status update(const struct flash *flash, struct running *running, const char *path) {
  enum module_status status;
  uint32_t input_bytes, output_bytes;
  long length;
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
    perror(path);
    return MODULE_NOT_ONE;
  }
#ifdef MODEL_HEADER
  input_bytes = INPUT_BYTES;
  output_bytes = OUTPUT_BYTES;
#else
  /* The first module says what all the others have to fit. */
  input_bytes = running->module.input_bytes;
  output_bytes = running->module.output_bytes;
#endif
  status = slots_update(flash, running, (uint32_t)length, from_file, file, input_bytes, output_bytes);
  fclose(file);
  return status;
}

static enum module_status run(struct running *running, const char *path) {
  struct module *m = &running->module;
  uint8_t *input = malloc(m->input_bytes + 1), *output = malloc(m->output_bytes);
  enum module_status status = MODULE_RUN_FAILED;
  uint32_t i, class;
  FILE *file = fopen(path, "rb");
  if (!file) perror(path);
  if (file && input && output) {
    const size_t got = fread(input, 1, m->input_bytes + 1, file);
    status = module_run(m, input, (uint32_t)got, output, m->output_bytes);
    if (status == MODULE_OK) {
      for (i = 0; i < m->output_bytes; i++) printf("%d ", (int8_t)output[i]);
      if (module_classify(m, &class) == MODULE_OK) printf("class %u", (unsigned)class);
      putchar('\n');
    }
  }
  if (file) fclose(file);
  free(input);
  free(output);
  return status;
}

int main(int argc, char **argv) {
  RuntimeInitArgs args;
  mem_alloc_info_t used;
  struct flash flash;
  struct running running;
  enum module_status status;
  const char *verb = argc > 3 ? argv[2] : "";
  if (argc < 2 || !open_flash(argv[1], &flash)) {
    fprintf(stderr, "usage: host FLASH [update MODULE.wasm | run INPUT]\n");
    return 64;
  }
  memset(&args, 0, sizeof args);
  args.mem_alloc_type = Alloc_With_Pool;
  args.mem_alloc_option.pool.heap_buf = pool;
  args.mem_alloc_option.pool.heap_size = sizeof pool;
  if (!wasm_runtime_full_init(&args)) return MODULE_REFUSED;
  status = slots_boot(&flash, &running);
  if (strcmp(verb, "update") == 0) {
    status = update(&flash, &running, argv[3]);
    if (status != MODULE_OK) fprintf(stderr, "%s: %s\n", argv[3], module_says(status));
  } else if (status != MODULE_OK) fprintf(stderr, "%s: %s\n", argv[1], module_says(status));
  else if (strcmp(verb, "run") == 0) {
    status = run(&running, argv[3]);
    if (status != MODULE_OK) fprintf(stderr, "%s: %s\n", argv[3], module_says(status));
  }
  if (running.slot < 0) printf("no module runs\n");
  else if (strcmp(verb, "update") == 0) printf("slot %d, number %u\n", running.slot, (unsigned)running.sequence);
  /* WAMR's count of what is free drifts when modules are closed: it is right for the first. */
  else if (!*verb && wasm_runtime_get_mem_alloc_info(&used))
    printf("slot %d, number %u: linear memory %u bytes; beside it at most %u of the pool's %u bytes were used\n", running.slot,
           (unsigned)running.sequence, (unsigned)running.module.ram_bytes, (unsigned)used.highmark_size, (unsigned)used.total_size);
  module_close(&running.module);
  wasm_runtime_destroy();
  return (int)status;
}
