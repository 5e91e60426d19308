#!/bin/bash
# A whole script, as forks for LIBERO have them.
export TEXT_ENCODER_NAME="google/t5-v1_1-xxl"
export VISION_ENCODER_NAME="google/siglip-so400m-patch14-384"
export OUTPUT_DIR="./checkpoints/libero"

if [ ! -d "$OUTPUT_DIR" ]; then
    mkdir "$OUTPUT_DIR"
    echo "Folder '$OUTPUT_DIR' created"
fi
GPUS=8
BATCH=$((256 / GPUS))

accelerate launch --num_processes=$GPUS --main_process_port=29500 main.py \
    --deepspeed="./configs/zero2.json" \
    --pretrained_model_name_or_path="robotics-diffusion-transformer/rdt-1b" \
    --pretrained_text_encoder_name_or_path=$TEXT_ENCODER_NAME \
    --pretrained_vision_encoder_name_or_path=${VISION_ENCODER_NAME} \
    --output_dir=$OUTPUT_DIR \
    --train_batch_size=$BATCH \
    --sample_batch_size=64 \
    --max_train_steps=200000 \
    --checkpointing_period=1000 \
    --sample_period=500 \
    --lr_scheduler="constant" \
    --learning_rate=1e-4 \
    --mixed_precision="bf16" \
    --dataloader_num_workers=8 \
    --image_aug \
    --dataset_type="finetune" \
    --state_noise_snr=40 \
    --load_from_hdf5 \
    --report_to=wandb > train.log 2>&1

for STEPS in 64 32 16; do
    python eval_sim/eval_rdt_libero.py --pretrained $OUTPUT_DIR/checkpoint-200000 \
        --benchmark libero_90 --exec_horizon $STEPS --max_steps 400 --num_episodes 50 \
        --camera_names agentview_image robot0_eye_in_hand_image
done
