// One classic script with everything in it, so that it can stand inline in a page without a server.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    target: "es2022",
    cssCodeSplit: false,
    reportCompressedSize: false,
    lib: {
      entry: "src/main.ts",
      name: "podmap",
      formats: ["iife"],
      fileName: () => "podmap-ui.js",
    },
  },
});
