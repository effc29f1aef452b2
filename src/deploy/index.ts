// Deploying: a plan becomes a standalone .wasm with its C header and a report of its sizes.

export { buildModule, type Metadata, type ModuleOptions, type ModuleReport, type PortMetadata } from './module'
