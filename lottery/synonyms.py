"""List what people call things elsewhere, and what that is here. Plain data: `answers` reads it.

Case, - and _ count nowhere. What is plain is taken for what it is, with the same run id. Where it
is not, the answer is a reason and what may be typed in place of it, the likeliest first:
(words, when), where {v} stands for the value that was typed.
"""

Answer = tuple[str, list[tuple[str, str]]]

SETTINGS = {  # of the same meaning, in the same unit
    "train.optimizer.lr": "lr learning_rate base_lr init_lr initial_lr start_lr max_lr lr0 eta eta0 step_size_init",
    "train.optimizer.weight_decay": "wd weight_decay l2 l2_reg l2_penalty decay",
    "train.optimizer.momentum": "mom sgd_momentum",
    "train.batch_size": "bs bsz batch_size batchsize train_batch_size train_batch mini_batch_size minibatch_size "
    "minibatch per_device_train_batch_size per_gpu_batch_size n_batch",
    "train.label_smoothing": "smoothing label_smooth label_smoothing_factor ls",
    "train.clip": "clip_norm grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip gradient_clip_val "
    "gradient_clipping clipnorm grad_norm_clip",
    "train.precision": "dtype mixed_precision torch_dtype",
    "train.channels_last": "memory_format",
    "replicate": "seed random_seed manual_seed global_seed rng_seed random_state rng seed_everything run_seed rep replica",
    "levels": "n_levels num_levels level_count pruning_levels prune_levels max_levels prune_iterations "
    "pruning_iterations n_prune_iterations imp_iterations imp_rounds n_rounds num_rounds pruning_rounds lth_iterations",
    "host.device": "dev accelerator",
    "host.threads": "num_threads n_threads nthreads omp_num_threads cpu_threads cpus n_cpus cpus_per_task ncpus",
    "host.progress": "progress_bar bar tqdm progressbar enable_progress_bar",
    "dataset.workers": "num_workers n_workers nworkers dataloader_num_workers dataloader_workers data_workers loader_workers",
    "dataset.validation": "n_val val_size validation_size num_val",
    "dataset.subsample": "subset n_samples num_samples max_train_samples limit_train",
    "dataset.size": "img_size image_size imsize resolution input_size crop_size",
    "dataset.flip": "hflip horizontal_flip random_flip",
    "dataset.path": "image_dir images_dir image_folder_path",
    "model.init": "initialization initialisation initializer initialiser init_method weight_init",
    "outputs": "output output_dir outdir out_dir out output_path output_folder save_dir savedir save_path save "
    "results_dir result_dir results_path results work_dir workdir root_dir default_root_dir run_dir runs_dir exp_dir "
    "checkpoint_dir ckpt_dir dest logs_dir",
    "data": "data_dir data_path data_root datadir dataset_dir dataset_root root data_folder cache_dir download_dir datasets_dir",
    "name": "run_name exp exp_name expname experiment_name exp_id project_name job_name jobname trial_name folder_name",
    "prune.include": "layers_to_prune include_layers prune_layers target_layers",
    "prune.exclude": "exclude_layers ignored_layers ignore_layers skip_layers ignore",
    "checkpoint_every": "save_every save_interval checkpoint_interval checkpoint_freq save_freq",
    "evaluate_every": "eval_every eval_interval eval_freq val_every test_every validate_every",
}  # fmt: skip
COUNTED = {  # of the same meaning, as a count of epochs (ep) or steps (it)
    ("train.length", "ep"): "epochs epoch n_epochs num_epochs nb_epoch nb_epochs max_epochs max_epoch num_train_epochs "
    "train_epochs training_epochs total_epochs nepochs n_epoch ep",
    ("train.length", "it"): "max_steps num_steps n_steps train_steps training_steps total_steps max_iters max_iter num_iters "
    "train_iterations training_iterations num_training_steps steps num_train_steps nsteps max_iterations max_train_steps",
    ("train.warmup", "ep"): "warmup_epochs warm_up_epochs num_warmup_epochs warmup_epoch",
    ("train.warmup", "it"): "warmup_steps warm_up_steps num_warmup_steps warmup_iters warmup_iterations",
    ("train.warmup", ""): "warmup_ratio warmup_fraction",
    ("evaluate_every", "ep"): "check_val_every_n_epoch eval_every_n_epochs",
    ("evaluate_every", "it"): "eval_steps val_check_interval evaluation_steps",
    ("checkpoint_every", "it"): "save_steps checkpoint_steps",
}  # fmt: skip
GROUPS = {
    "model": "arch net network architecture backbone model_name model_type model_arch models nn archi",
    "dataset": "ds dataset_name datasets data_set data_name data_type",
    "prune": "method pruner algorithm algo strategy pruning pruning_method prune_method pruning_strategy "
    "prune_strategy pruning_algorithm prune_type pruning_type criterion prune_criterion methods importance pruner_name",
    "train/optimizer": "optimizer optim optimiser opt optimizer_name optimizer_type solver",
    "train/lr": "scheduler lr_scheduler lr_schedule sched lr_sched lr_policy lr_decay lr_scheduler_type learning_rate_schedule "
    "lrschedule",
    "train": "recipe hparams hyperparameters training_config",
    "prune/structure": "granularity sparsity_type sparsity_pattern pattern unit",
    "prune/allocation": "distribution sparsity_distribution scope sparsity_init",
    "prune/update": "dst sparse_update growth dynamic",
    "rewind": "reset rewinding rewind_type rewind_strategy",
    "schedule": "sparsity_schedule pruning_schedule prune_schedule density_schedule",
    "experiment": "preset",
    "log": "logger loggers report_to tracker tracking log_with log_to",
    "branch": "controls control branches",
    "host": "machine",
}  # fmt: skip
OPTIONS = {  # what an option is called elsewhere; where it has no other meaning
    "prune": {
        "imp": "lth lottery lottery_ticket lottery_ticket_hypothesis iterative iterative_magnitude "
        "iterative_magnitude_pruning itermag iterative_pruning",
        "oneshot": "one_shot_magnitude omp single_shot_magnitude magnitude_oneshot",
        "random": "rand random_pruning random_unstructured randompruning",
        "magnitude_init": "magnitude_at_init mag_init",
        "snip_iterative": "iterative_snip iter_snip ip_snip snip_it",
        "bn_scale": "network_slimming slimming net_slim bn bn_gamma",
        "obd": "optimal_brain_damage hessian_diagonal",
        "fisher": "empirical_fisher woodfisher",
        "taylor": "taylor_fo first_order taylor_expansion",
        "edge_popup": "edgepopup popup hidden_subnetwork",
        "snip": "connection_sensitivity",
    },
    "model": {
        "lenet_300_100": "lenet300 lenet_300",
        "lenet5": "lenet_5_caffe lenet_conv",
        "mobilenet_v1": "mobilenet1 mobilenet_1",
        "densenet40": "densenet_40_12 densenet40_12",
        "wrn16_8": "wideresnet16_8 wide_resnet16_8 wide_resnet_16_8",
        "wrn22_8": "wideresnet22_8 wide_resnet22_8",
        "wrn28_10": "wideresnet28_10 wide_resnet28_10 wide_resnet_28_10",
        "vgg16": "vgg_d",
        "vgg19": "vgg_e",
    },
    "dataset": {
        "imagenet": "imagenet1k imagenet_1k ilsvrc ilsvrc2012 ilsvrc12 imagenet2012 in1k",
        "fashion_mnist": "fmnist fashion",
        "tiny_imagenet": "tiny tiny_imagenet200 tin",
        "image_folder": "folder images",
        "synthetic": "fake fake_data dummy toy",
        "digits": "sklearn_digits load_digits uci_digits",
    },
    "schedule": {"geometric": "exponential exp geom multiplicative", "compression": "log powers powers_of_ten synflow"},
    "rewind": {
        "init": "initial initialization initialisation step0 original_init to_init",
        "finetune": "fine_tuning finetuning ft fine_tune",
        "lr": "learning_rate lr_rewind learning_rate_rewinding lrr",
        "reinit": "reinitialize reinitialise random_reinit re_init",
        "ticket": "pretrained_ticket transfer",
    },
    "train/optimizer": {"sgd": "momentum sgd_momentum", "adamw": "adam_w"},
    "train/lr": {
        "cosine": "cosine_annealing cosineannealinglr cosine_decay cosine_lr cos",
        "milestones": "step multistep multisteplr steplr step_lr multi_step piecewise step_decay",
        "linear": "linearlr linear_decay poly polynomial polynomiallr",
        "constant": "constantlr fixed none flat null",
        "triangular": "onecycle one_cycle onecyclelr cyclic cycliclr",
    },
    "prune/structure": {
        "weight": "unstructured weights single fine_grained element",
        "filter": "filters kernel",
        "channel": "channels structured",
        "neuron": "neurons unit node",
        "n_m": "nm semi_structured semistructured 2:4 1:4 4:8 n:m",
        "block": "blocks blockwise",
    },
    "prune/allocation": {
        "globally": "global global_unstructured",
        "layerwise": "local layer_wise per_layer layer",
        "erk": "erdos_renyi_kernel erdos_renyi er",
        "uniform": "same equal",
    },
    "prune/update": {"static": "none fixed off false"},
    "log": {"tensorboard": "tb tensor_board", "wandb": "weights_and_biases wb w_and_b", "mlflow": "ml_flow"},
    "branch": {"reinit": "random_reinit reinitialize", "shuffle": "shuffled permute"},
}  # fmt: skip
VALUES = {  # of settings, where people write another word for the same
    "host.device": {"cuda": "gpu true", "cpu": "none false", "auto": "default"},
    "train.precision": {"bf16": "bf16-mixed bfloat16 bf16-true amp mixed", "fp32": "32 float32 32-true full float"},
    "host.progress": {"none": "false off quiet 0", "auto": "true on 1"},
    "train.clip": {"null": "none false off no"},
    "train.channels_last": {"yes": "true on channels_last", "no": "false off contiguous"},
}  # fmt: skip
SWITCHES = {  # words that are on or off; "" for the value that takes another word
    "host.device=cuda": "cuda use_cuda gpu use_gpu gpus cuda_available",
    "host.device=cpu": "cpu use_cpu no_cuda disable_cuda cpu_only no_gpu",
    "host.device=mps": "mps use_mps",
    "train.precision=bf16": "bf16 bfloat16 use_bf16",
    "prune/structure=channel": "structured",
    "train.optimizer.nesterov=true": "use_nesterov",
    "host.progress=none": "no_progress no_progress_bar disable_tqdm quiet silent q",
    "host.deterministic=true": "cudnn_deterministic use_deterministic_algorithms reproducible",
}  # fmt: skip
REMOVED = (  # the share that is to be pruned in the end, or at each level
    "sparsity target_sparsity final_sparsity sparsity_level sparsity_ratio sparsities final_ratio sparse "
    "target_ratio target_pruning_ratio end_sparsity model_sparsity weight_sparsity"
)
REMOVED_EACH = "amount pruning_ratio prune_ratio prune_rate pruning_rate prune_amount pruning_amount prune_percent percent p"
EACH_LEVEL = (
    "pruning_fraction prune_fraction percent_per_level prune_percent_per_round per_round_rate"
)
KEPT = "density target_density final_density remaining keep_ratio kept keep_rate target_keep keep_percent percent_kept"
TIMES = "compression compression_ratio target_compression compression_factor compression_rate"
SEVERAL = (
    "seeds n_seeds num_seeds trials n_trials num_trials runs n_runs num_runs repeats n_repeats num_repeats "
    "repetitions replicates n_replicates num_replicates folds ensembles n_reps reps"
)
RESUMES = "an interrupted run goes on where it was by the same command; nothing is to be set"
REWINDS = "the rewind point is that of a group"
ANSWERS: dict[str, Answer] = {
    "rounds": (
        "rounds are two things here",
        [("levels={v}", "prune, rewind and train again so often"), ("prune.rounds={v}", "score so often in one pruning")],
    ),
    "iterations iteration iters n_iterations num_iterations n_iters cycles": (
        "iterations are two things here",
        [("levels={v}", "prune, rewind and train again so often"), ("train.length={v}it", "training steps")],
    ),
    "batch": ("", [("train.batch_size={v}", "examples a training step")]),
    "amp fp16 half float16 use_amp use_fp16 mixed_precision_training autocast": (
        "half precision is bf16 here, which needs no scaling of the loss", [("train.precision=bf16", "")]
    ),
    "resume resume_from resume_from_checkpoint checkpoint ckpt ckpt_path checkpoint_path load load_path load_from "
    "restart continue auto_resume restore load_checkpoint resume_path": (RESUMES, [("", "the same command")]),
    "log_dir logdir logging_dir tb_dir tensorboard_dir": (
        "runs and event files lie apart",
        [("outputs={v}", "where runs go"), ("log=[tensorboard] loggers.tensorboard.dir={v}", "event files for TensorBoard")],
    ),
    "tag tags group notes description comment job_type": ("a run has a name, no tags", [("name={v}", "its folder under outputs/")]),
    "wandb use_wandb log_wandb wandb_project with_wandb wandb_log": ("boards are a list", [("log=[wandb]", "")]),
    "tensorboard use_tensorboard tb use_tb": ("boards are a list", [("log=[tensorboard]", "")]),
    "mlflow use_mlflow": ("boards are a list", [("log=[mlflow]", "")]),
    "n_jobs jobs njobs num_jobs parallel num_processes nproc n_procs max_parallel n_gpus num_gpus devices nodes num_nodes "
    "world_size nproc_per_node distributed ddp local_rank": (
        "the jobs of a sweep run one after the other, a run on one device; to share the work start further commands "
        "with other values beside it",
        [("-m replicate=0,1", "two jobs"), ("host.threads=1", "threads of one")],
    ),
    "early_stopping early_stop patience early_stopping_patience es": (
        "levels train in full: the best validation step is kept in metrics.csv, and "
        "`lottery plot figure=early_stop` draws it",
        [("", "")],
    ),
    "pretrained use_pretrained weights from_pretrained pretrained_path init_from finetune_from": (
        "weights of another tool come in as a ticket: `lottery import net.pth to=t.safetensors`",
        [("rewind=ticket rewind.path=t.safetensors", "then")],
    ),
    "loss loss_fn loss_function criterion_fn objective": ("the loss is cross-entropy, with train.label_smoothing", [("", "")]),
    "dropout drop dropout_rate drop_rate p_dropout": ("these models have no dropout; docs/add-a-model.md adds one", [("", "")]),
    "augment augmentation data_aug aug transforms transform use_augmentation autoaugment randaugment": (
        "augmentation is settings of the data set", [("dataset.crop=4 dataset.flip=true", "")]
    ),
    "num_classes n_classes classes nclasses num_labels": ("the number of classes comes from the data set", [("", "")]),
    "in_channels channels num_channels": ("the number of channels comes from the data set", [("", "")]),
    "val_split validation_split val_ratio val_fraction valid_size": (
        "the validation split is a count of training examples", [("dataset.validation=144", "")]
    ),
    "gamma lr_gamma lr_decay_factor drop_factor": ("the drop belongs to a schedule", [("train/lr=milestones train.lr.factor={v}", "")]),
    "lr_step_size step_size milestones lr_milestones lr_steps decay_epochs lr_drop": (
        "the drops belong to a schedule", [("train/lr=milestones 'train.lr.at=[{v}ep]'", "")]
    ),
    "debug fast_dev_run smoke_test smoke sanity_check num_sanity_val_steps limit_train_batches overfit_batches": (
        "a plan trains a few steps in memory and writes nothing", [("plan:", "")]
    ),
    "dry_run dryrun plan_only no_op noop simulate": ("a plan says what would be done, and writes nothing", [("plan:", "")]),
    "test_only eval evaluate eval_only do_eval do_train do_test evaluate_only validate test": (
        "every level is evaluated as it is trained; `lottery show` prints the numbers", [("", "")]
    ),
    "verbose verbosity log_level v": ("to see where an error comes from", [("-v", "")]),
    "help usage h": ("what can be typed", [("help:", "")]),
    "config cfg conf config_file config_path yaml params_file hydra_config conf_file": (
        "files of your own are options of a group: DIR/experiment/mine.yaml",
        [("--config-dir DIR experiment=mine", "")],
    ),
    "version": ("", [("version:", "")]),
    "print_config show_config print_cfg list_settings": ("the whole config", [("--cfg job", "")]),
    "multirun sweep grid grid_search search": ("-m runs every combination of values", [("-m", "")]),
    "rewind_to rewind_epoch rewinding_epoch late_reset_epoch k_epoch": (REWINDS, [("rewind=step rewind.to={v}ep", "")]),
    "rewind_step rewinding_steps rewind_steps rewind_iteration rewind_it rewind_point late_reset_step": (
        REWINDS, [("rewind=step rewind.to={v}it", "")]
    ),
    "save_model save_checkpoint save_best save_total_limit": ("every level is kept, its masks and end weights too", [("", "")]),
    "download": ("data sets are fetched at first use", [("", "")]),
    "overwrite force f force_rerun overwrite_output_dir clean restart_from_scratch": (
        "the same config is the same run, with the same numbers; to train it again elsewhere", [("outputs=again", "")]
    ),
    "yes y": ("nothing is asked before a run", [("", "")]),
    "criterion_name": ("", [("prune={v}", "")]),
    "global global_pruning use_global prune_global": ("", [("prune/allocation=globally", "")]),
    "layerwise local_pruning": ("", [("prune/allocation=layerwise", "")]),
    "n_m nm m n sparsity_n_m": ("n of m is a structure", [("prune/structure=n_m", "2 of 4")]),
    "tune hpo optuna sweeper": ("-m runs every combination of values", [("-m train.optimizer.lr=0.1,0.01", "")]),
    "user_dir package plugin import_module": ("files of your own", [("--config-dir DIR", "")]),
    "track log_metrics csv": ("every number is written as CSV; boards besides", [("log=[tensorboard]", "")]),
}  # fmt: skip
OFF = (  # what nothing is to be typed for where it is off
    "resume resume_from resume_from_checkpoint checkpoint auto_resume wandb use_wandb log_wandb tensorboard "
    "use_tensorboard tb use_tb mlflow use_mlflow early_stopping early_stop pretrained use_pretrained dropout debug "
    "fast_dev_run dry_run dryrun overwrite force distributed ddp multirun sweep verbose"
)
TORCHVISION = {  # what is asked for -> a net of torchvision
    "resnet50": "", "resnet101": "", "resnet152": "", "alexnet": "", "googlenet": "", "inception_v3": "inception",
    "squeezenet1_1": "squeezenet", "shufflenet_v2_x1_0": "shufflenet shufflenet_v2", "mobilenet_v2": "",
    "mobilenet_v3_large": "mobilenet_v3", "mobilenet_v3_small": "", "efficientnet_b0": "efficientnet effnet",
    "efficientnet_v2_s": "efficientnet_v2", "convnext_tiny": "convnext", "vit_b_16": "vit vision_transformer vit_base vit_b transformer deit",
    "vit_b_32": "", "vit_l_16": "vit_large", "swin_t": "swin swin_transformer", "swin_v2_t": "swin_v2", "densenet121": "", "densenet169": "",
    "densenet201": "", "resnext50_32x4d": "resnext resnext50", "wide_resnet50_2": "wide_resnet50 wrn50_2", "regnet_y_400mf": "regnet",
    "mnasnet1_0": "mnasnet", "maxvit_t": "maxvit",
}  # fmt: skip
CHOICES: dict[str, dict[str, Answer]] = {  # words of a group that may be several options, or none
    "prune": {
        "magnitude mag l1_unstructured l1_norm weight_magnitude abs magnitude_pruning unstructured global_magnitude": (
            "magnitude is scored at three moments",
            [("prune=imp", "level after level, each trained"), ("prune=oneshot", "each density from the trained dense net"),
             ("prune=magnitude_init", "before training")],
        ),
        "l1 l2 ln": (
            "norms of weights are magnitude, norms of filters a structure",
            [("prune=imp", "single weights"), ("prune=imp prune/structure=filter", "filters")],
        ),
        "global global_unstructured globally": (
            "where the density goes is prune/allocation", [("prune=imp prune/allocation=globally", "")]
        ),
        "local layerwise per_layer layer_wise": (
            "where the density goes is prune/allocation", [("prune=imp prune/allocation=layerwise", "")]
        ),
        "structured channel channels": ("what goes together is prune/structure", [("prune=imp prune/structure=channel", "")]),
        "filter filters l1_structured ln_structured filter_pruning": (
            "what goes together is prune/structure", [("prune=imp prune/structure=filter", "")]
        ),
        "neuron neurons": ("what goes together is prune/structure", [("prune=imp prune/structure=neuron", "")]),
        "2:4 nm n_m n:m semi_structured 1:4": ("what goes together is prune/structure", [("prune=imp prune/structure=n_m", "2 of 4")]),
        "erk er erdos_renyi": ("where the density goes is prune/allocation", [("prune=random prune/allocation=erk", "")]),
        "uniform": ("where the density goes is prune/allocation", [("prune=random prune/allocation=uniform", "")]),
        "none no null false off dense baseline nothing identity": ("the dense net alone is level 0", [("levels=0", "")]),
        "gradient gradients grad sensitivity": ("gradients score in several methods", [("prune=snip", "before training"), ("prune=taylor", "after it")]),
        "early_bird earlybird eb": ("the nearest is magnitude early in training", [("prune=early", "")]),
        "lrr lr_rewinding learning_rate_rewinding": ("how a level starts is rewind", [("prune=imp rewind=lr", "")]),
        "finetune fine_tune finetuning": ("how a level starts is rewind", [("prune=imp rewind=finetune", "")]),
        "late_resetting late_rewinding rewinding rewind": ("how a level starts is rewind", [("prune=imp rewind=step rewind.to=1ep", "")]),
        "dst dynamic sparse_training": ("masks change in training in two of them", [("prune=rigl", "by gradients"), ("prune=set", "at random")]),
        "gmp gradual agp automated_gradual": ("the nearest prunes level after level and goes on training", [("prune=imp rewind=finetune", "")]),
        "obs optimal_brain_surgeon hessian second_order": ("the second order is a diagonal here", [("prune=obd", "Hessian"), ("prune=fisher", "Fisher")]),
    },
    "model": {
        "resnet": ("resnets are several", [("model=resnet20", "for CIFAR"), ("model=resnet18", "for 64 pixels and more")]),
        "vgg": ("vggs are several", [("model=vgg16", ""), ("model=vgg16_bn", "its BatchNorm variant")]),
        "lenet": ("lenets are two", [("model=lenet_300_100", "linear layers"), ("model=lenet5", "convolutions")]),
        "mlp fc fcn dense perceptron linear fully_connected feedforward": (
            "perceptrons are one model", [("model=lenet_300_100 'model.hidden=[300,100]'", "")]
        ),
        "cnn conv convnet simple_cnn simplecnn small_cnn convolutional": (
            "small convolutional nets are several", [("model=conv2", ""), ("model=conv4", ""), ("model=lenet5", "")]
        ),
        "wrn wide_resnet wideresnet": ("wide resnets are several", [("model=wrn16_8", ""), ("model=wrn28_10", "")]),
        "mobilenet": ("mobilenets are several", [("model=mobilenet_v1", ""), ("model=torchvision model.net=mobilenet_v2", "")]),
        "densenet": ("densenets are several", [("model=densenet40", "for CIFAR"), ("model=torchvision model.net=densenet121", "")]),
        "bert gpt gpt2 lstm gru rnn unet llama t5": (
            "these are nets for images; docs/add-a-model.md adds one of your own", [("", "")]
        ),
        "custom mine my_model mymodel own timm huggingface hf": (
            "docs/add-a-model.md adds one of your own, in a file and a yaml", [("model=torchvision model.net=resnet50", "or a net of torchvision")]
        ),
    },
    "dataset": {
        "cifar": ("cifars are two", [("dataset=cifar10", ""), ("dataset=cifar100", "")]),
        "custom mine own my_dataset mydata local": ("your own pictures lie in a folder", [("dataset=image_folder dataset.path=DIR", "")]),
        "kmnist emnist qmnist stl10 flowers food101 pets cub cars caltech101 places365 coco celeba svhn_extra usps flowers102": (
            "this one is not brought; its pictures can be a folder", [("dataset=image_folder dataset.path=DIR", "")]
        ),
        "random noise": ("made-up images are one data set", [("dataset=synthetic", "")]),
    },
    "schedule": {
        "oneshot one_shot single constant one": ("one density is a list of one", [("schedule=listed 'schedule.densities=[0.1]'", "")]),
        "cosine cosine_annealing step multistep milestones onecycle warmup triangular lr": (
            "schedule is that of densities; that of the learning rate is train/lr",
            [("train/lr=cosine", ""), ("train/lr=milestones", "")],
        ),
        "cubic polynomial agp custom list densities given": ("densities can be listed", [("schedule=listed 'schedule.densities=[0.5,0.2,0.1]'", "")]),
    },
    "rewind": {
        "weights weight w values": (
            "the weights can go back to two points",
            [("rewind=init", "initialization"), ("rewind=step rewind.to=1ep", "early in training")],
        ),
        "late late_resetting late_rewinding early epoch k iteration it weight_rewinding warmup": (
            "late resetting goes back to a step", [("rewind=step rewind.to=1ep", "")]
        ),
        "none no null false off keep continue": ("without rewinding the trained weights stay", [("rewind=finetune", "")]),
        "true yes on": ("there are several rewind points", [("rewind=init", "initialization"), ("rewind=step rewind.to=1ep", "early in training")]),
        "random": ("weights can be drawn anew", [("rewind=reinit", "")]),
    },
    "train/optimizer": {
        "rmsprop adagrad adadelta adamax nadam lion lamb lars lbfgs adafactor radam muon rprop": (
            "this optimizer is not brought", [("train/optimizer=sgd", ""), ("train/optimizer=adam", ""), ("train/optimizer=adamw", "")]
        ),
        "nesterov nag": ("Nesterov is a setting of SGD", [("train/optimizer=sgd train.optimizer.nesterov=true", "")]),
    },
    "train/lr": {
        "exponential exponentiallr exp": ("the nearest are these", [("train/lr=cosine", ""), ("train/lr=milestones", "")]),
        "plateau reducelronplateau reduce_on_plateau": ("drops come at fixed steps", [("train/lr=milestones", "")]),
        "warmup warmup_cosine linear_warmup cosine_warmup cosine_with_warmup linear_with_warmup": (
            "warm-up goes before any schedule", [("train/lr=cosine train.warmup=1ep", "")]
        ),
    },
    "log": {
        "csv file json stdout console": ("every number is written as CSV anyway", [("log=[]", "")]),
        "none no false off null": ("no board is an empty list", [("log=[]", "")]),
        "all true": ("boards are a list", [("log=[tensorboard]", "")]),
        "comet neptune clearml aim dvclive swanlab": (
            "this board is not brought; docs/add-a-logger.md adds one", [("log=[tensorboard]", ""), ("log=[wandb]", ""), ("log=[mlflow]", "")]
        ),
    },
    "branch": {
        "none no false off null": ("no control is an empty list", [("branch=[]", "")]),
        "all true": ("controls are a list", [("branch=[shuffle,reinit,random]", "")]),
    },
    "experiment": {
        "lth lottery_ticket": ("presets name a net and data", [("experiment=lth_lenet_mnist", "")]),
        "none false off no": ("no preset is the default", [("", "")]),
    },
}  # fmt: skip
SHORT = {  # flags of one letter
    "e": "epochs", "b": "batch_size", "a": "arch", "d": "dataset", "o": "outputs", "n": "name", "s": "seed", "g": "gpu",
    "j": "num_workers", "q": "quiet", "V": "version", "w": "num_workers", "l": "levels", "f": "force", "y": "yes",
    "t": "threads", "lr": "lr", "wd": "wd", "bs": "bs",
}  # fmt: skip
ALIASES = {
    "run": "train fit start go execute exec",
    "ls": "list dir",
    "plan": "dry_run",
    "diff": "cmp",
}
WORDS: dict[str, Answer] = {  # of commands; {rest} is what stood behind, {run} that or RUN
    "resume continue restart go_on retry requeue": (
        f"{RESUMES}; `lottery show` prints the command of a run", [("run {rest}", "")]
    ),
    "status state st ps top jobs queue squeue runs experiments history reflog log_list show_all all list_runs": (
        "all runs, or how far one is", [("ls", ""), ("tail {run}", "")]
    ),
    "rm delete del remove purge uninstall destroy prune_runs erase drop": (
        "what may go is shown; with --yes behind it goes", [("clean run={run}", "")]
    ),
    "gc cleanup tidy": ("what may go is shown; with --yes behind it goes", [("clean", "")]),
    "verify check validate fsck health diagnose env repair fix lint freeze": (
        "what is there is checked, and what it runs on", [("doctor", "")]
    ),
    "simulate preview estimate cost time try": ("a plan says what would be done", [("plan {rest}", "")]),
    "sweep multirun multi grid tune search hpo agent batch": ("-m runs every combination of values", [("run -m {rest}", "")]),
    "eval evaluate test predict score metrics inference": (
        "every level is evaluated as it is trained", [("show {run}", "")]
    ),
    "prune sparsify compress pruning imp lth lottery": ("pruning is part of a run", [("run {rest}", "")]),
    "init new create setup install configure add": ("nothing has to be set up", [("run {rest}", "")]),
    "info describe inspect get view details cat print head print_run": ("one run, all that is known", [("show {run}", "")]),
    "config cfg settings options params parameters defaults hparams": (
        "the whole config", [("run --cfg job", ""), ("run --help", "the groups")]
    ),
    "models datasets methods pruners criteria schedules nets architectures groups components list_models optimizers": (
        "the options of every group", [("run --help", "")]
    ),
    "results result summary leaderboard": ("a line a run, or means over replicates", [("ls", ""), ("compare", "")]),
    "table tables csv latex mean means average stats aggregate statistics": ("means over replicates", [("compare", "")]),
    "graph figure fig draw chart curve curves visualize visualise plots figures viz": (
        "figures are drawn by name", [("plot figure={figure}", "")]
    ),
    "logs log watch follow monitor attach progress stream": ("a run at work is followed", [("tail {run}", "")]),
    "kill stop cancel abort terminate scancel pause interrupt": (
        "Ctrl-C, or TERM, stops a run where it is started, with a checkpoint; how far it is", [("ls", "")]
    ),
    "open html dashboard ui serve web notebook browse": ("a page of one run or several", [("report {run}", "")]),
    "tensorboard wandb mlflow tb board boards": (
        "boards are told while a run is at work", [("run 'log=[{word}]'", "")]
    ),
    "convert onnx save ticket save_ticket checkpoint": ("tickets and nets for elsewhere", [("export {run} level=last", "")]),
    "load restore convert_from load_ticket": ("nets and masks of other tools", [("import --help", "")]),
    "benchmark latency speed profile flops macs": ("what a pruned net takes", [("bench {run} level=last", "")]),
    "shrink slim": ("a smaller net", [("compact {run} level=last", "")]),
    "controls control shuffle reinit random sanity ablate ablation": (
        "controls of finished levels", [("branch {run} branch=shuffle", "")]
    ),
    "complete completion completions autocomplete": ("the shell completes after", [("-sc install=bash", "")]),
    "upgrade update self_update": ("lottery is installed by pip, not by itself", [("version", "")]),
    "docs doc man manual tutorial readme examples example": ("the words of every command", [("help", "")]),
    "replicate rerun repeat reproduce": ("replicates are repetitions", [("run -m {rest} replicate=0,1,2", "")]),
    "mv rename move cp copy": ("a run lies in a folder; its name is a setting", [("run {rest} name=mine", "")]),
}  # fmt: skip
HABITS = {  # options of the commands that look at runs
    "outputs": "output output_dir out_dir outdir dir folder path root save_dir",
    "format": "fmt output_format print",
    "format=json": "json as_json",
    "format=csv": "csv as_csv",
    "format=latex": "latex tex",
    "format=markdown": "markdown md",
    "sort": "sort_by order order_by sorted by s",
    "columns": "cols fields col show select",
    "to": "out outfile output_file file save o filename",
    "as": "type kind fmt export_format",
    "level": "lvl l",
    "levels": "lvls",
    "branch": "control controls",
    "every": "interval n refresh",
    "figure": "fig plot_type name kind type",
    "metric": "measure score m",
    "against": "baseline reference ref vs",
    "run": "runs id run_id",
    "device": "gpu cuda",
    "batch": "batch_size bs b",
    "repeats": "n_repeats iterations reps",
    "layers": "layer",
}  # fmt: skip
