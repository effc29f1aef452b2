/* Two slots of flash for modules: the one that runs, and the one that an update is written to.
 *
 * A slot is a record of 16 bytes, then the file. The record is written last, when the new module has passed its self-test: until then
 * the old one is what a boot finds, whenever the power fails. */
#ifndef SLOTS_H
#define SLOTS_H

#include "module.h"

enum { SLOTS = 2, RECORD_BYTES = 16 };

/* The flash. A port fills this in: its bytes as they are mapped, and how they are changed. Both functions return 0 if they fail. */
struct flash {
  const uint8_t *slot[SLOTS];
  uint32_t slot_bytes;
  /* Makes all bytes of the slot 0xff. */
  int (*erase)(int slot);
  /* Writes to bytes that are 0xff. */
  int (*write)(int slot, uint32_t at, const uint8_t *bytes, uint32_t length);
};

/* Where an update comes from: up to `length` bytes are put to `to`; returns how many, 0 at the end, < 0 when it broke off. */
typedef int (*source_fn)(void *from, uint8_t *to, uint32_t length);

struct running {
  struct module module;
  /* -1: none. */
  int slot;
  uint32_t sequence;
};

/* Opens the newest module that is whole and passes its self-test; if that is none of both: MODULE_NONE, or why the newest was refused. */
enum module_status slots_boot(const struct flash *flash, struct running *running);

/* Writes a new module of `length` bytes to the slot that does not run, checks it there, and switches to it if it fits the caller's buffers
 * (its first input and output have so many bytes; 0: any number) and passes its self-test. If anything fails the old module runs on,
 * with its state zero. There is RAM for one module only, so nothing runs meanwhile. */
enum module_status slots_update(const struct flash *flash, struct running *running, uint32_t length, source_fn source, void *from,
                                uint32_t input_bytes, uint32_t output_bytes);

#endif
