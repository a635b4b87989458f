//! One card that is open: its queue, its shaders, and how bytes come and go.

use std::sync::{Arc, Mutex, PoisonError};

use proof::Key;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, Buffer, BufferDescriptor, BufferUsages,
    CommandEncoderDescriptor, ComputePassDescriptor, ComputePipeline, ComputePipelineDescriptor,
    Device, DeviceDescriptor, MapMode, MemoryHints, PollType, Queue, ShaderModule,
    ShaderModuleDescriptor, ShaderSource,
};

use crate::ProbeError;
use crate::cards::{Wanted, cards, choose};

pub struct Card {
    pub(crate) device: Device,
    pub(crate) queue: Queue,
    pub(crate) fill_shader: ShaderModule,
    pub(crate) sweep_shader: ShaderModule,
    pub(crate) tree_shader: ShaderModule,
    pub(crate) product_shader: ShaderModule,
    pub(crate) chunks: Vec<crate::fill::Chunk>,
    pub(crate) sweeps: Option<crate::sweep::Sweeps>,
    pub(crate) buffer_bytes_max: u64,
    name: String,
    complaint: Arc<Mutex<Option<String>>>,
}

const KEY: &str = include_str!("key.wgsl");
/// What is moved to measure the way to the card and back.
const COPY_BYTES: u64 = 32 * 1024 * 1024;

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn driver(error: impl ToString) -> ProbeError {
    ProbeError::Driver(error.to_string())
}

impl Card {
    /// Opens the card that is meant.
    ///
    /// # Errors
    /// Vulkan does not show it, or its driver does not give it.
    pub fn open(wanted: &Wanted) -> Result<Self, ProbeError> {
        let found = choose(cards(), wanted)?;
        let limits = found.adapter.limits();
        let descriptor = DeviceDescriptor {
            // As large as the card allows: its memory is to be filled.
            required_limits: limits.clone(),
            // What is left of it is little: no large pieces are to be taken for small needs.
            memory_hints: MemoryHints::MemoryUsage,
            ..DeviceDescriptor::default()
        };
        let (device, queue) =
            pollster::block_on(found.adapter.request_device(&descriptor)).map_err(driver)?;
        let complaint = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&complaint);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.get_or_insert(error.to_string());
        }));
        let shader = |text: &str| {
            device.create_shader_module(ShaderModuleDescriptor {
                label: None,
                source: ShaderSource::Wgsl(format!("{KEY}\n{text}").into()),
            })
        };
        let card = Self {
            fill_shader: shader(include_str!("fill.wgsl")),
            sweep_shader: shader(include_str!("sweep.wgsl")),
            tree_shader: shader(include_str!("tree.wgsl")),
            product_shader: shader(include_str!("product.wgsl")),
            chunks: Vec::new(),
            sweeps: None,
            buffer_bytes_max: limits
                .max_buffer_size
                .min(limits.max_storage_buffer_binding_size),
            name: found.name,
            complaint,
            device,
            queue,
        };
        card.check()?;
        Ok(card)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the driver complained about since the last look.
    pub(crate) fn check(&self) -> Result<(), ProbeError> {
        let mut heard = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        heard
            .take()
            .map_or(Ok(()), |text| Err(ProbeError::Driver(text)))
    }

    pub(crate) fn pipeline(&self, module: &ShaderModule, entry: &str) -> ComputePipeline {
        self.device
            .create_compute_pipeline(&ComputePipelineDescriptor {
                label: None,
                layout: None,
                module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
    }

    pub(crate) fn buffer(&self, bytes: u64, usage: BufferUsages) -> Buffer {
        self.device.create_buffer(&BufferDescriptor {
            label: None,
            size: bytes.max(16),
            usage,
            mapped_at_creation: false,
        })
    }

    pub(crate) fn uniform(&self, words: &[u32]) -> Buffer {
        let bytes = bytes(words);
        let size = u64::try_from(bytes.len()).unwrap_or(0);
        let buffer = self.buffer(size, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
        self.queue.write_buffer(&buffer, 0, &bytes);
        buffer
    }

    pub(crate) fn bound(
        &self,
        pipeline: &ComputePipeline,
        buffers: &[(u32, &Buffer)],
    ) -> BindGroup {
        let entries: Vec<BindGroupEntry<'_>> = buffers
            .iter()
            .map(|(binding, buffer)| BindGroupEntry {
                binding: *binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        self.device.create_bind_group(&BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    /// Runs a shader over these buffers and waits for it.
    pub(crate) fn run(
        &self,
        pipeline: &ComputePipeline,
        buffers: &[(u32, &Buffer)],
        groups: (u32, u32),
    ) -> Result<(), ProbeError> {
        let bound = self.bound(pipeline, buffers);
        let mut encoder = self
            .device
            .create_command_encoder(&CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &bound, &[]);
            pass.dispatch_workgroups(groups.0, groups.1, 1);
        }
        self.queue.submit([encoder.finish()]);
        self.wait()
    }

    fn wait(&self) -> Result<(), ProbeError> {
        self.device
            .poll(PollType::wait_indefinitely())
            .map_err(driver)?;
        self.check()
    }

    /// Brings words back.
    pub(crate) fn download(&self, from: &Buffer, words: u64) -> Result<Vec<u32>, ProbeError> {
        let bytes = words.saturating_mul(4);
        let landing = self.buffer(bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let mut encoder = self
            .device
            .create_command_encoder(&CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(from, 0, &landing, 0, bytes);
        self.queue.submit([encoder.finish()]);
        self.landed(&landing, bytes)
    }

    /// What was copied to a buffer that can be read here.
    pub(crate) fn landed(&self, landing: &Buffer, bytes: u64) -> Result<Vec<u32>, ProbeError> {
        landing.map_async(MapMode::Read, 0..bytes, |_| {});
        self.wait()?;
        let view = landing.get_mapped_range(0..bytes).map_err(driver)?;
        let word = |four: &[u8]| {
            four.iter()
                .rev()
                .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
        };
        let words = view.chunks_exact(4).map(word).collect();
        drop(view);
        landing.unmap();
        Ok(words)
    }

    /// The way to the card and back, in MB/s, by a clock that gives microseconds.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn copy_speeds(&self, clock: &dyn Fn() -> u64) -> Result<(u32, u32), ProbeError> {
        let bytes = COPY_BYTES.min(self.buffer_bytes_max);
        let there = self.buffer(
            bytes,
            BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC,
        );
        let data = vec![1; usize::try_from(bytes).unwrap_or(0)];
        let speed = |from: u64| {
            let took = clock().saturating_sub(from).max(1);
            u32::try_from(bytes / took).unwrap_or(u32::MAX)
        };
        let from = clock();
        self.queue.write_buffer(&there, 0, &data);
        self.queue.submit([]);
        self.wait()?;
        let to = speed(from);
        let from = clock();
        self.download(&there, bytes / 4)?;
        Ok((to, speed(from)))
    }
}

pub(crate) fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) const fn words(key: Key) -> [u32; 4] {
    key.0
}
